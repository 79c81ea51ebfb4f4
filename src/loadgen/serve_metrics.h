#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loadgen/load_generator.h"
#include "loadgen/statistics.h"

namespace pagoda {

// Service levels in milliseconds; a request is good if it meets all that are given.
struct Goodput {
  std::optional<double> ttft_ms, tpot_ms, e2el_ms;
  bool empty() const { return !ttft_ms && !tpot_ms && !e2el_ms; }
};

struct MetricOptions {
  std::vector<double> percentiles = {99};
  Goodput goodput;
  bool with_client_queue = false;  // requests waited for --max-concurrency
};

// What vLLM's benchmark reports, by its definitions. Only requests that succeeded count.
struct ServeMetrics {
  int64_t completed = 0, failed = 0, good = 0, total_input = 0, total_output = 0;
  int64_t num_with_usage = 0;  // of completed: tokens counted by the server
  double duration_s = 0;
  double request_throughput = 0, request_goodput = 0, output_throughput = 0, total_token_throughput = 0;
  // Most tokens within one of the seconds after the first request was sent; a chunk of several tokens counts
  // as so many.
  double max_output_tokens_per_s = 0;
  int64_t max_concurrent_requests = 0;  // under way at one moment
  // In ms, by vLLM's names: ttft, tpot, itl, e2el and, with_client_queue, client_queue_time and
  // e2el_including_client_queue.
  std::map<std::string, Distribution> distributions;
};

// (latency - ttft) / (output_len - 1), for more than one token; nullopt otherwise.
std::optional<double> time_per_output_token(const RequestRecord& record);
ServeMetrics compute_metrics(const LoadResult& result, const MetricOptions& options);

}  // namespace pagoda
