#include "cli/bench_flags.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/json.h"
#include "base/log.h"
#include "cli/flag_checks.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

constexpr const char* kData = "Dataset";
constexpr int64_t kLenMax = 1 << 24;

constexpr FlagSpec kDatasetFlags[] = {
    {"dataset-name", "", kData, kString, "random",
     "random, prefix_repetition, sharegpt, custom, burstgpt, timed_trace."},
    {"dataset-path", "", kData, kString, "", "File of the last four kinds."},
    {"num-prompts", "", kData, kInt, "1000", "Requests to send."},
    {"input-len", "", kData, kInt, "", "Same as --random-input-len."},
    {"output-len", "", kData, kInt, "", "Tokens to generate, for every kind but burstgpt and timed_trace."},
    {"disable-shuffle", "", kData, kBool, "off", "Keep the order of the file."},
    {"no-oversample", "", kData, kBool, "off", "Do not go through a short file again."},
    {"random-input-len", "", kData, kInt, "1024", "random: tokens of a prompt."},
    {"random-output-len", "", kData, kInt, "128", "random: tokens of an answer."},
    {"random-range-ratio", "", kData, kString, "0.0",
     "random: lengths are uniform in len * (1 +- ratio); also {\"input\": X, \"output\": Y}."},
    {"random-prefix-len", "", kData, kInt, "0", "random: tokens that all prompts begin with."},
    {"prefix-repetition-prefix-len", "", kData, kInt, "256", "prefix_repetition: tokens of a prefix."},
    {"prefix-repetition-suffix-len", "", kData, kInt, "256", "prefix_repetition: tokens after it."},
    {"prefix-repetition-num-prefixes", "", kData, kInt, "10", "prefix_repetition: different prefixes."},
    {"prefix-repetition-output-len", "", kData, kInt, "128", "prefix_repetition: tokens of an answer."},
    {"sharegpt-output-len", "", kData, kInt, "as in the file", "sharegpt: tokens of an answer."},
    {"custom-output-len", "", kData, kInt, "256",
     "custom: tokens of an answer; -1: output_tokens of a line."},
    {"skip-chat-template", "", kData, kBool, "on",
     "custom: prompts are sent as they are; --backend openai-chat lets the server apply its template.",
     kForeign},
    {"timed-trace-sec-multiplier", "", kData, kFloat, "0.001", "timed_trace: seconds of a timestamp's unit."},
    {"timed-trace-chunk-hash-size", "", kData, kInt, "as fits the lengths",
     "timed_trace: tokens that a hash stands for."},
    {"timed-trace-time-scale", "", kData, kFloat, "1",
     "timed_trace: factor on times; 0.1 is ten times faster."},
    {"timed-trace-length-scale", "", kData, kFloat, "1", "timed_trace: factor on lengths."},
};

// A number, or a JSON object with `input` and `output`.
Status read_range_ratio(const FlagValues& flags, DatasetOptions* options) {
  std::string text = flags.text("random-range-ratio", "0");
  Status wrong = invalid_argument(
      "flag --random-range-ratio must be a number from 0 to below 1, or {\"input\": X, \"output\": Y}, not "
      "'" +
          text + "'",
      "random-range-ratio");
  Result<Value> value = parse_json(text);
  if (!value.ok()) return wrong;
  const Value *input = &*value, *output = &*value;
  if (value->is_object()) input = value->find("input"), output = value->find("output");
  for (const Value* ratio : {input, output})
    if (ratio == nullptr || !ratio->is_number() || !(ratio->as_double() >= 0 && ratio->as_double() < 1))
      return wrong;
  options->random_input_ratio = input->as_double();
  options->random_output_ratio = output->as_double();
  return {};
}

Status read_repetition(const FlagValues& flags, int64_t output_len, DatasetOptions* options) {
  PAGODA_TRY(options->repetition_prefix_len,
             number_in(flags, "prefix-repetition-prefix-len", 256, 1, kLenMax));
  PAGODA_TRY(options->repetition_suffix_len,
             number_in(flags, "prefix-repetition-suffix-len", 256, 0, kLenMax));
  PAGODA_TRY(options->repetition_num_prefixes,
             number_in(flags, "prefix-repetition-num-prefixes", 10, 1, kLenMax));
  PAGODA_TRY(options->repetition_output_len,
             number_in(flags, "prefix-repetition-output-len", output_len, 1, kLenMax));
  return {};
}

Status read_trace(const FlagValues& flags, DatasetOptions* options) {
  PAGODA_TRY(options->trace_sec_multiplier, real_above(flags, "timed-trace-sec-multiplier", 0.001, 0, 1e6));
  PAGODA_TRY(options->trace_chunk_hash_size, number_in(flags, "timed-trace-chunk-hash-size", 0, 0, 1 << 20));
  PAGODA_TRY(options->trace_time_scale, real_above(flags, "timed-trace-time-scale", 1, 0, 1e6));
  PAGODA_TRY(options->trace_length_scale, real_above(flags, "timed-trace-length-scale", 1, 0, 1e6));
  return {};
}

}  // namespace

std::span<const FlagSpec> dataset_flag_table() {
  return kDatasetFlags;
}

Result<DatasetOptions> dataset_options(const FlagValues& flags) {
  DatasetOptions options;
  options.name = flags.text("dataset-name", "random");
  options.path = flags.text("dataset-path");
  options.seed = static_cast<uint64_t>(flags.number("seed", 0));
  options.shuffle = !flags.flag("disable-shuffle", false);
  options.oversample = !flags.flag("no-oversample", false);
  PAGODA_TRY(options.num_prompts, number_in(flags, "num-prompts", 1000, 1, 1 << 24));
  PAGODA_TRY(int64_t input_len, number_in(flags, "input-len", 1024, 1, kLenMax));
  PAGODA_TRY(int64_t output_len, number_in(flags, "output-len", 128, 1, kLenMax));
  PAGODA_TRY(options.random_input_len, number_in(flags, "random-input-len", input_len, 0, kLenMax));
  PAGODA_TRY(options.random_output_len, number_in(flags, "random-output-len", output_len, 1, kLenMax));
  PAGODA_TRY(options.random_prefix_len, number_in(flags, "random-prefix-len", 0, 0, kLenMax));
  PAGODA_RETURN_IF_ERROR(read_range_ratio(flags, &options));
  PAGODA_RETURN_IF_ERROR(read_repetition(flags, output_len, &options));
  if (flags.given("output-len")) options.sharegpt_output_len = output_len;
  if (flags.given("sharegpt-output-len")) {
    PAGODA_TRY(options.sharegpt_output_len, number_in(flags, "sharegpt-output-len", 0, 1, kLenMax));
  }
  PAGODA_TRY(options.custom_output_len, number_in(flags, "custom-output-len",
                                                  flags.given("output-len") ? output_len : 256, -1, kLenMax));
  if (options.custom_output_len == 0)
    return invalid_argument("flag --custom-output-len must be positive, or -1", "custom-output-len");
  PAGODA_RETURN_IF_ERROR(read_trace(flags, &options));
  return options;
}

std::vector<FlagSpec> with_engine_flags(std::vector<FlagSpec> own) {
  std::vector<FlagSpec> table = std::move(own);
  const auto num_own = static_cast<std::ptrdiff_t>(table.size());
  for (const FlagSpec& spec : serve_flag_table()) {
    bool is_own = std::any_of(table.begin(), table.begin() + num_own, [&](const FlagSpec& other) {
      return std::string_view(other.name) == spec.name;
    });
    if (!is_own && std::string_view(spec.group) != "Frontend") table.push_back(spec);
  }
  return table;
}

Result<EngineArgs> engine_args(const ParsedCommand& command) {
  PAGODA_TRY(ServeArgs args, serve_args(command));
  args.engine.observability.log_stats = false;
  return args.engine;
}

Result<std::unique_ptr<Assembly>> assemble_for_bench(EngineArgs args, int64_t num_answers) {
  // The places of one batch may still be on their way back when the next one asks for its own.
  args.scheduler.max_num_queued_reqs = std::max(args.scheduler.max_num_queued_reqs, 2 * num_answers);
  return assemble(args);
}

Status check_lengths(const std::vector<BenchPrompt>& prompts, const ModelInfo& model) {
  for (const BenchPrompt& prompt : prompts)
    if (std::ssize(prompt.ids) + prompt.output_len > model.max_model_len)
      return invalid_argument("a prompt of " + std::to_string(prompt.ids.size()) + " tokens and " +
                              std::to_string(prompt.output_len) + " to generate do not fit into the " +
                              std::to_string(model.max_model_len) +
                              " positions of this model: choose smaller lengths (--input-len, --output-len), "
                              "or a larger --max-model-len");
  return {};
}

Status write_result_file(const std::string& path, const Object& result, bool append) {
  std::FILE* file = std::fopen(path.c_str(), append ? "a" : "w");
  if (file == nullptr) return io_error("cannot write '" + path + "': " + std::strerror(errno));
  std::string json = write_json(Value(result), {.python_spacing = true});
  if (append) json += "\n";
  bool written = std::fwrite(json.data(), 1, json.size(), file) == json.size();
  written = std::fclose(file) == 0 && written;
  return written ? Status() : io_error("cannot write '" + path + "': " + std::strerror(errno));
}

ProgressLine::ProgressLine(std::string what, std::size_t total, bool enabled)
    : what_(std::move(what)), total_(total), enabled_(enabled && isatty(STDERR_FILENO) != 0) {}

void ProgressLine::clear() {
  if (shown_) std::fprintf(stderr, "\r\033[K");
  shown_ = false;
}

void ProgressLine::update(std::size_t done) {
  auto now = std::chrono::steady_clock::now();
  if (!enabled_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(200);
  shown_ = true;
  std::fprintf(stderr, "\r%s: %zu/%zu", what_.c_str(), done, total_);
}

}  // namespace pagoda
