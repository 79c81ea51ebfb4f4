// What the subcommands of `pagoda bench` share: the flags of datasets and of the engine, and progress.
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "assembly/assemble.h"
#include "assembly/engine_args.h"
#include "cli/flags.h"
#include "loadgen/dataset.h"

namespace pagoda {

// Flags that say what to send. Requires of a table they are part of: "seed" is in it too.
std::span<const FlagSpec> dataset_flag_table();
// Errors kInvalidArgument naming the flag.
Result<DatasetOptions> dataset_options(const FlagValues& flags);

// `own`, then those of `pagoda serve` that are not of the HTTP server's and not among them.
std::vector<FlagSpec> with_engine_flags(std::vector<FlagSpec> own);
// The engine's arguments of a table made by with_engine_flags.
Result<EngineArgs> engine_args(const ParsedCommand& command);

// Loads the model for a run of `num_answers` at most at once. Errors as of assemble().
Result<std::unique_ptr<Assembly>> assemble_for_bench(EngineArgs args, int64_t num_answers);
// Every prompt and its output fit into the model's context.
Status check_lengths(const std::vector<BenchPrompt>& prompts, const ModelInfo& model);

// One line of JSON to a file; error kIo with the path.
Status write_result_file(const std::string& path, const Object& result, bool append = false);

// "\r12/100" on a terminal, a few times a second; nothing elsewhere.
class ProgressLine {
 public:
  ProgressLine(std::string what, std::size_t total, bool enabled);
  ~ProgressLine() { clear(); }
  void update(std::size_t done);
  void clear();

 private:
  std::string what_;
  std::size_t total_;
  bool enabled_, shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace pagoda
