#pragma once
#include <string>
#include <vector>

#include "cli/flags.h"
#include "loadgen/arrivals.h"
#include "loadgen/dataset.h"
#include "loadgen/load_generator.h"
#include "loadgen/serve_metrics.h"

namespace pagoda {

std::vector<FlagSpec> bench_serve_flag_table();

// `pagoda bench serve`'s flags, checked.
struct BenchServeOptions {
  LoadOptions load;  // style.model still empty where the server is to be asked
  ArrivalOptions arrivals;
  DatasetOptions dataset;
  MetricOptions metrics;
  std::vector<std::string> percentile_metrics;
  std::string backend = "openai", model, served_model_name, tokenizer;
  bool skip_tokenizer = false, random_as_ids = false, self_timed = false, progress = true;
  int64_t random_vocab_size = 0;  // 0: the tokenizer's
  int64_t num_warmups = 0, ready_check_timeout_s = 0;
  bool save_result = false, save_detailed = false, append_result = false;
  std::string result_dir, result_filename, label;
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Errors kInvalidArgument naming the flag.
Result<BenchServeOptions> bench_serve_options(const ParsedCommand& command);

}  // namespace pagoda
