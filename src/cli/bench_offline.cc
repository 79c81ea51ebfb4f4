// `pagoda bench throughput` and `pagoda bench latency`: the engine alone, in this process.
#include <cstdio>

#include "cli/bench_flags.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/flag_checks.h"
#include "cli/flag_field.h"
#include "loadgen/offline.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

constexpr const char* kBench = "Bench";

// What both commands have of their own.
struct OfflineArgs {
  std::string backend = "pagoda", output_json;
  int64_t n = 1, batch_size = 8, num_iters_warmup = 10, num_iters = 30;
  int64_t input_len = 32, output_len = 128;  // of `latency`
  uint64_t seed = 0;
  bool progress = true;
};
#define FIELD(path, ...) \
  field([](OfflineArgs & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)

constexpr const char* kThroughputUsage =
    "usage: pagoda bench throughput [--model MODEL] [--num-prompts N] [--input-len N] [--output-len N] "
    "[flags]\n"
    "Generates for many prompts at once, without a server, and reports tokens per second.\n";
constexpr FlagSpec kThroughputFlags[] = {
    flag("backend", kBench, FIELD(backend), "The engine in this process; vllm means the same."),
    flag("n", kBench, FIELD(n, between(1, 1024)), "Answers to each prompt."),
    flag("seed", kBench, FIELD(seed), "Seed of prompts, of sampling and of dummy weights."),
    flag("output-json", kBench, FIELD(output_json), "File for the results."),
    flag("disable-tqdm", kBench, inverted(FIELD(progress)), "No progress line."),
    {"disable-detokenize", "", kBench, kBool, "on", "Tokens are never turned into text here.", kForeign},
    {"async-engine", "", kBench, kBool, "off", "vLLM's other engine.", kForeign},
    {"profile", "", kBench, kBool, "off", "Profile the run.", kLater},
    {"lora-path", "", kBench, kString, "", "Adapter.", kLater},
};

constexpr const char* kLatencyUsage =
    "usage: pagoda bench latency [--model MODEL] [--batch-size N] [--input-len N] [--output-len N] [flags]\n"
    "Generates for one batch again and again, without a server, and reports how long a batch takes.\n";
constexpr FlagSpec kLatencyFlags[] = {
    flag("input-len", kBench, FIELD(input_len, between(1, 1 << 24)), "Tokens of a prompt."),
    flag("output-len", kBench, FIELD(output_len, between(1, 1 << 24)), "Tokens of an answer."),
    flag("batch-size", kBench, FIELD(batch_size, between(1, 65536)), "Prompts of a batch."),
    flag("n", kBench, FIELD(n, between(1, 1024)), "Answers to each prompt."),
    flag("num-iters-warmup", kBench, FIELD(num_iters_warmup, between(0, 1 << 20)),
         "Batches before the measurement."),
    flag("num-iters", kBench, FIELD(num_iters, between(1, 1 << 20)), "Batches that are measured."),
    flag("seed", kBench, FIELD(seed), "Seed of prompts, of sampling and of dummy weights."),
    flag("output-json", kBench, FIELD(output_json), "File for the results."),
    flag("disable-tqdm", kBench, inverted(FIELD(progress)), "No progress line."),
    {"disable-detokenize", "", kBench, kBool, "on", "Tokens are never turned into text here.", kForeign},
    {"use-beam-search", "", kBench, kBool, "off", "Beam search.", kLater},
    {"profile", "", kBench, kBool, "off", "Profile one batch.", kLater},
};

template <std::size_t size>
std::vector<FlagSpec> to_vector(const FlagSpec (&table)[size]) {
  return {std::begin(table), std::end(table)};
}

std::vector<FlagSpec> throughput_table() {
  std::vector<FlagSpec> own = to_vector(kThroughputFlags);
  std::span<const FlagSpec> dataset = dataset_flag_table();
  own.insert(own.end(), dataset.begin(), dataset.end());
  return with_engine_flags(std::move(own));
}

// Given texts become ids: the clock is not to see the tokenizer.
Status make_ids(const Tokenizer* tokenizer, std::vector<BenchPrompt>* prompts) {
  for (BenchPrompt& prompt : *prompts) {
    if (!prompt.ids.empty()) continue;
    if (tokenizer == nullptr)
      return invalid_argument("texts need a tokenizer, and this model has none: give --tokenizer",
                              "tokenizer");
    tokenizer->encode(prompt.text, {.add_special_tokens = true}, &prompt.ids);
    if (prompt.ids.empty()) return invalid_argument("a prompt of the dataset is empty", "dataset-path");
  }
  return {};
}

SyntheticText ids_of(const ModelInfo& model) {
  return model.tokenizer != nullptr ? SyntheticText::as_ids(model.tokenizer)
                                    : SyntheticText::as_ids(model.vocab_size);
}

// Errors kInvalidArgument naming the flag.
Result<OfflineArgs> offline_args(std::span<const FlagSpec> own, const FlagValues& flags) {
  OfflineArgs args;
  PAGODA_RETURN_IF_ERROR(assign_fields(own, flags, &args));
  PAGODA_RETURN_IF_ERROR(one_of(flags, "backend", args.backend, {"pagoda", "vllm"}).status());
  return args;
}

Status throughput(const ParsedCommand& command) {
  PAGODA_TRY(OfflineArgs args, offline_args(kThroughputFlags, command.flags));
  PAGODA_TRY(DatasetOptions dataset, dataset_options(command.flags));
  PAGODA_TRY(EngineArgs engine, engine_args(command));
  PAGODA_TRY(auto assembly, assemble_for_bench(engine, dataset.num_prompts * args.n));
  PAGODA_TRY(std::vector<BenchPrompt> prompts, load_dataset(dataset, ids_of(*assembly->model)));
  PAGODA_RETURN_IF_ERROR(make_ids(assembly->model->tokenizer.get(), &prompts));
  PAGODA_RETURN_IF_ERROR(check_lengths(prompts, *assembly->model));

  const std::size_t num_answers = prompts.size() * static_cast<std::size_t>(args.n);
  ProgressLine progress("answers", num_answers, args.progress);
  OfflineOptions options{static_cast<int32_t>(args.n), 1, dataset.seed};
  options.on_progress = [&](std::size_t done) { progress.update(done); };
  PAGODA_TRY(OfflineResult result, run_offline(assembly->engine.get(), prompts, options));
  progress.clear();
  std::fputs(throughput_report(result, std::ssize(prompts)).c_str(), stdout);
  if (!command.flags.given("output-json")) return {};
  return write_result_file(args.output_json, throughput_result(result, std::ssize(prompts)));
}

Status latency(const ParsedCommand& command) {
  PAGODA_TRY(OfflineArgs args, offline_args(kLatencyFlags, command.flags));
  DatasetOptions dataset;
  dataset.num_prompts = args.batch_size;
  dataset.random_input_len = args.input_len;
  dataset.random_output_len = args.output_len;
  dataset.seed = args.seed;
  PAGODA_TRY(EngineArgs engine, engine_args(command));
  PAGODA_TRY(auto assembly, assemble_for_bench(engine, dataset.num_prompts * args.n));
  std::vector<BenchPrompt> prompts = random_prompts(dataset, ids_of(*assembly->model));
  PAGODA_RETURN_IF_ERROR(check_lengths(prompts, *assembly->model));

  OfflineOptions options{static_cast<int32_t>(args.n), 1, dataset.seed};
  std::vector<double> latencies;
  const int64_t num_batches = args.num_iters_warmup + args.num_iters;
  ProgressLine progress("batches", static_cast<std::size_t>(num_batches), args.progress);
  for (int64_t i = 0; i < num_batches; ++i) {
    PAGODA_TRY(OfflineResult result, run_offline(assembly->engine.get(), prompts, options));
    if (i >= args.num_iters_warmup) latencies.push_back(result.elapsed_s);
    progress.update(static_cast<std::size_t>(i + 1));
  }
  progress.clear();
  std::fputs(latency_report(latencies).c_str(), stdout);
  if (!command.flags.given("output-json")) return {};
  return write_result_file(args.output_json, latency_result(latencies));
}

int run_offline_command(const std::vector<FlagSpec>& table, const char* usage,
                        const std::vector<std::string>& arguments, Status (*command)(const ParsedCommand&)) {
  std::string topic;
  if (wants_help(arguments, &topic)) {
    std::fputs(help_text(table, usage, topic).c_str(), stdout);
    return 0;
  }
  Result<ParsedCommand> parsed = parse_with_config(table, arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  report_unused_flags(table, parsed->flags);
  Status status = command(*parsed);
  return status.ok() ? 0 : fail(status.message());
}

}  // namespace

int run_bench_throughput(const std::vector<std::string>& arguments) {
  return run_offline_command(throughput_table(), kThroughputUsage, arguments, throughput);
}

int run_bench_latency(const std::vector<std::string>& arguments) {
  return run_offline_command(with_engine_flags(to_vector(kLatencyFlags)), kLatencyUsage, arguments, latency);
}

}  // namespace pagoda
