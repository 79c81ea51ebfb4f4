#include "cli/bench_flags.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/json.h"
#include "base/log.h"
#include "cli/flag_checks.h"
#include "cli/flag_field.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

#define FIELD(path, ...) \
  field([](DatasetOptions & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)

constexpr const char* kData = "Dataset";
constexpr int64_t kLenMax = 1 << 24;

constexpr FlagSpec kDatasetFlags[] = {
    flag("dataset-name", kData, FIELD(name),
         "random, prefix_repetition, sharegpt, custom, burstgpt, timed_trace."),
    flag("dataset-path", kData, FIELD(path), "File of the last four kinds."),
    flag("num-prompts", kData, FIELD(num_prompts, between(1, kLenMax)), "Requests to send."),
    {"input-len", "", kData, kInt, "", "Same as --random-input-len."},
    {"output-len", "", kData, kInt, "", "Tokens to generate, for every kind but burstgpt and timed_trace."},
    flag("disable-shuffle", kData, inverted(FIELD(shuffle)), "Keep the order of the file."),
    flag("no-oversample", kData, inverted(FIELD(oversample)), "Do not go through a short file again."),
    flag("random-input-len", kData, FIELD(random_input_len, between(0, kLenMax)),
         "random: tokens of a prompt."),
    flag("random-output-len", kData, FIELD(random_output_len, between(1, kLenMax)),
         "random: tokens of an answer."),
    {"random-range-ratio", "", kData, kString, "0.0",
     "random: lengths are uniform in len * (1 +- ratio); also {\"input\": X, \"output\": Y}."},
    flag("random-prefix-len", kData, FIELD(random_prefix_len, between(0, kLenMax)),
         "random: tokens that all prompts begin with."),
    flag("prefix-repetition-prefix-len", kData, FIELD(repetition_prefix_len, between(1, kLenMax)),
         "prefix_repetition: tokens of a prefix."),
    flag("prefix-repetition-suffix-len", kData, FIELD(repetition_suffix_len, between(0, kLenMax)),
         "prefix_repetition: tokens after it."),
    flag("prefix-repetition-num-prefixes", kData, FIELD(repetition_num_prefixes, between(1, kLenMax)),
         "prefix_repetition: different prefixes."),
    flag("prefix-repetition-output-len", kData, FIELD(repetition_output_len, between(1, kLenMax)),
         "prefix_repetition: tokens of an answer."),
    flag("sharegpt-output-len", kData, FIELD(sharegpt_output_len, between(1, kLenMax)),
         "sharegpt: tokens of an answer.", {.default_text = "as in the file"}),
    flag("custom-output-len", kData, FIELD(custom_output_len, between(-1, kLenMax)),
         "custom: tokens of an answer; -1: output_tokens of a line."),
    {"skip-chat-template", "", kData, kBool, "on",
     "custom: prompts are sent as they are; --backend openai-chat lets the server apply its template.",
     kForeign},
    flag("timed-trace-sec-multiplier", kData, FIELD(trace_sec_multiplier, above(0, 1e6)),
         "timed_trace: seconds of a timestamp's unit."),
    flag("timed-trace-chunk-hash-size", kData, FIELD(trace_chunk_hash_size, between(0, 1 << 20)),
         "timed_trace: tokens that a hash stands for.", {.default_text = "as fits the lengths"}),
    flag("timed-trace-time-scale", kData, FIELD(trace_time_scale, above(0, 1e6)),
         "timed_trace: factor on times; 0.1 is ten times faster."),
    flag("timed-trace-length-scale", kData, FIELD(trace_length_scale, above(0, 1e6)),
         "timed_trace: factor on lengths."),
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

}  // namespace

std::span<const FlagSpec> dataset_flag_table() {
  return kDatasetFlags;
}

Result<DatasetOptions> dataset_options(const FlagValues& flags) {
  DatasetOptions options;
  PAGODA_RETURN_IF_ERROR(assign_fields(dataset_flag_table(), flags, &options));
  options.seed = static_cast<uint64_t>(flags.number("seed", 0));
  PAGODA_RETURN_IF_ERROR(read_range_ratio(flags, &options));
  // --input-len and --output-len are for every kind of dataset that has no flag of its own given.
  PAGODA_TRY(int64_t input_len, number_in(flags, "input-len", options.random_input_len, 1, kLenMax));
  PAGODA_TRY(int64_t output_len, number_in(flags, "output-len", options.random_output_len, 1, kLenMax));
  if (!flags.given("random-input-len")) options.random_input_len = input_len;
  if (flags.given("output-len")) {
    if (!flags.given("random-output-len")) options.random_output_len = output_len;
    if (!flags.given("prefix-repetition-output-len")) options.repetition_output_len = output_len;
    if (!flags.given("sharegpt-output-len")) options.sharegpt_output_len = output_len;
    if (!flags.given("custom-output-len")) options.custom_output_len = output_len;
  }
  if (options.custom_output_len == 0)
    return invalid_argument("flag --custom-output-len must be positive, or -1", "custom-output-len");
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
  args.engine.config.log_stats = false;
  return args.engine;
}

Result<std::unique_ptr<Assembly>> assemble_for_bench(EngineArgs args, int64_t num_answers) {
  // The places of one batch may still be on their way back when the next one asks for its own.
  int32_t& places = args.config.scheduler.max_num_queued_reqs;
  places =
      static_cast<int32_t>(std::clamp<int64_t>(2 * num_answers, places, std::numeric_limits<int32_t>::max()));
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
