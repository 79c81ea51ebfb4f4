#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "loadgen/arrivals.h"
#include "loadgen/serve_metrics.h"

namespace pagoda {

// What a report says of a run besides its metrics.
struct ReportOptions {
  std::vector<std::string> percentile_metrics = {"ttft", "tpot", "itl"};  // sections, by vLLM's names
  int64_t max_concurrency = 0;                                            // 0: none
  ArrivalOptions arrivals;
  bool has_goodput = false;
};

// vLLM's table "Serving Benchmark Result", and one line under it with the definitions.
std::string serve_report(const ServeMetrics& metrics, const ReportOptions& options);
// Of failed requests: a line for each different message with its count, at most ten.
std::string error_report(const std::vector<RequestRecord>& records);

struct ResultHeader {
  std::string date;  // 20251121-120000
  std::string backend, label, model_id, tokenizer_id;
  int64_t num_prompts = 0;
  std::vector<std::pair<std::string, std::string>> metadata;
};
// vLLM's result file. `detailed`: with the lists that have one entry for each request.
Object serve_result(const ResultHeader& header, const ServeMetrics& metrics, const ReportOptions& options,
                    const std::vector<RequestRecord>& records, bool detailed);
// {label}-{rate}qps[-concurrency{N}]-{model}-{date}.json
std::string result_filename(const ResultHeader& header, const ReportOptions& options);

// "99" for 99, "99.9" for 99.9.
std::string percent_word(double percent);

}  // namespace pagoda
