// `pagoda bench throughput` and `pagoda bench latency`: the engine alone, in this process.
#include <cstdio>

#include "cli/bench_flags.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/flag_checks.h"
#include "loadgen/offline.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

constexpr const char* kBench = "Bench";

constexpr const char* kThroughputUsage =
    "usage: pagoda bench throughput [--model MODEL] [--num-prompts N] [--input-len N] [--output-len N] "
    "[flags]\n"
    "Generates for many prompts at once, without a server, and reports tokens per second.\n";
constexpr FlagSpec kThroughputFlags[] = {
    {"backend", "", kBench, kString, "pagoda", "The engine in this process; vllm means the same."},
    {"n", "", kBench, kInt, "1", "Answers to each prompt."},
    {"seed", "", kBench, kInt, "0", "Seed of prompts, of sampling and of dummy weights."},
    {"output-json", "", kBench, kString, "", "File for the results."},
    {"disable-tqdm", "", kBench, kBool, "off", "No progress line."},
    {"disable-detokenize", "", kBench, kBool, "on", "Tokens are never turned into text here.", kForeign},
    {"async-engine", "", kBench, kBool, "off", "vLLM's other engine.", kForeign},
    {"profile", "", kBench, kBool, "off", "Profile the run.", kLater},
    {"lora-path", "", kBench, kString, "", "Adapter.", kLater},
};

constexpr const char* kLatencyUsage =
    "usage: pagoda bench latency [--model MODEL] [--batch-size N] [--input-len N] [--output-len N] [flags]\n"
    "Generates for one batch again and again, without a server, and reports how long a batch takes.\n";
constexpr FlagSpec kLatencyFlags[] = {
    {"input-len", "", kBench, kInt, "32", "Tokens of a prompt."},
    {"output-len", "", kBench, kInt, "128", "Tokens of an answer."},
    {"batch-size", "", kBench, kInt, "8", "Prompts of a batch."},
    {"n", "", kBench, kInt, "1", "Answers to each prompt."},
    {"num-iters-warmup", "", kBench, kInt, "10", "Batches before the measurement."},
    {"num-iters", "", kBench, kInt, "30", "Batches that are measured."},
    {"seed", "", kBench, kInt, "0", "Seed of prompts, of sampling and of dummy weights."},
    {"output-json", "", kBench, kString, "", "File for the results."},
    {"disable-tqdm", "", kBench, kBool, "off", "No progress line."},
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

Status throughput(const ParsedCommand& command) {
  const FlagValues& flags = command.flags;
  PAGODA_RETURN_IF_ERROR(one_of(flags, "backend", "pagoda", {"pagoda", "vllm"}).status());
  PAGODA_TRY(int64_t n, number_in(flags, "n", 1, 1, 1024));
  PAGODA_TRY(DatasetOptions dataset, dataset_options(flags));
  PAGODA_TRY(EngineArgs engine, engine_args(command));
  PAGODA_TRY(auto assembly, assemble_for_bench(engine, dataset.num_prompts * n));
  PAGODA_TRY(std::vector<BenchPrompt> prompts, load_dataset(dataset, ids_of(*assembly->model)));
  PAGODA_RETURN_IF_ERROR(make_ids(assembly->model->tokenizer.get(), &prompts));
  PAGODA_RETURN_IF_ERROR(check_lengths(prompts, *assembly->model));

  const std::size_t num_answers = prompts.size() * static_cast<std::size_t>(n);
  ProgressLine progress("answers", num_answers, !flags.flag("disable-tqdm", false));
  OfflineOptions options{static_cast<int32_t>(n), 1, dataset.seed};
  options.on_progress = [&](std::size_t done) { progress.update(done); };
  PAGODA_TRY(OfflineResult result, run_offline(assembly->engine.get(), prompts, options));
  progress.clear();
  std::fputs(throughput_report(result, std::ssize(prompts)).c_str(), stdout);
  if (!flags.given("output-json")) return {};
  return write_result_file(flags.text("output-json"), throughput_result(result, std::ssize(prompts)));
}

Status latency(const ParsedCommand& command) {
  const FlagValues& flags = command.flags;
  DatasetOptions dataset;
  PAGODA_TRY(dataset.num_prompts, number_in(flags, "batch-size", 8, 1, 65536));
  PAGODA_TRY(dataset.random_input_len, number_in(flags, "input-len", 32, 1, 1 << 24));
  PAGODA_TRY(dataset.random_output_len, number_in(flags, "output-len", 128, 1, 1 << 24));
  PAGODA_TRY(int64_t n, number_in(flags, "n", 1, 1, 1024));
  PAGODA_TRY(int64_t num_warmups, number_in(flags, "num-iters-warmup", 10, 0, 1 << 20));
  PAGODA_TRY(int64_t num_iters, number_in(flags, "num-iters", 30, 1, 1 << 20));
  dataset.seed = static_cast<uint64_t>(flags.number("seed", 0));
  PAGODA_TRY(EngineArgs engine, engine_args(command));
  PAGODA_TRY(auto assembly, assemble_for_bench(engine, dataset.num_prompts * n));
  std::vector<BenchPrompt> prompts = random_prompts(dataset, ids_of(*assembly->model));
  PAGODA_RETURN_IF_ERROR(check_lengths(prompts, *assembly->model));

  OfflineOptions options{static_cast<int32_t>(n), 1, dataset.seed};
  std::vector<double> latencies;
  ProgressLine progress("batches", static_cast<std::size_t>(num_warmups + num_iters),
                        !flags.flag("disable-tqdm", false));
  for (int64_t i = 0; i < num_warmups + num_iters; ++i) {
    PAGODA_TRY(OfflineResult result, run_offline(assembly->engine.get(), prompts, options));
    if (i >= num_warmups) latencies.push_back(result.elapsed_s);
    progress.update(static_cast<std::size_t>(i + 1));
  }
  progress.clear();
  std::fputs(latency_report(latencies).c_str(), stdout);
  if (!flags.given("output-json")) return {};
  return write_result_file(flags.text("output-json"), latency_result(latencies));
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
