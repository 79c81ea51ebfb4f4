#include "loadgen/serve_metrics.h"

#include <algorithm>
#include <utility>

namespace pagoda {
namespace {

constexpr double kMs = 1000;

bool is_good(const RequestRecord& record, const Goodput& goodput) {
  double tpot = time_per_output_token(record).value_or(0);
  return (!goodput.ttft_ms || record.ttft * kMs <= *goodput.ttft_ms) &&
         (!goodput.tpot_ms || tpot * kMs <= *goodput.tpot_ms) &&
         (!goodput.e2el_ms || record.latency * kMs <= *goodput.e2el_ms);
}

double most_tokens_in_a_second(const std::vector<const RequestRecord*>& records) {
  double first = records.front()->start_time, most = 0;
  for (const RequestRecord* record : records) first = std::min(first, record->start_time);
  std::map<int64_t, double> seconds;
  for (const RequestRecord* record : records) {
    double per_chunk = static_cast<double>(record->output_len) / static_cast<double>(record->num_chunks());
    double time = record->start_time + record->ttft - first;
    seconds[static_cast<int64_t>(time)] += per_chunk;
    for (double gap : record->itls) seconds[static_cast<int64_t>(time += gap)] += per_chunk;
  }
  for (const auto& [second, tokens] : seconds) most = std::max(most, tokens);
  return most;
}

// Sweeps over the half-open intervals [sent, ended).
int64_t most_at_once(const std::vector<const RequestRecord*>& records) {
  std::vector<std::pair<double, int>> events;
  for (const RequestRecord* record : records) {
    events.emplace_back(record->start_time, 1);
    events.emplace_back(record->start_time + record->latency, -1);
  }
  std::sort(events.begin(), events.end());
  int64_t now = 0, most = 0;
  for (const auto& [time, change] : events) most = std::max(most, now += change);
  return most;
}

}  // namespace

std::optional<double> time_per_output_token(const RequestRecord& record) {
  if (record.output_len <= 1) return std::nullopt;
  return (record.latency - record.ttft) / static_cast<double>(record.output_len - 1);
}

ServeMetrics compute_metrics(const LoadResult& result, const MetricOptions& options) {
  ServeMetrics out;
  std::vector<const RequestRecord*> done;
  std::map<std::string, std::vector<double>> values;
  for (const RequestRecord& record : result.records) {
    if (!record.success) {
      ++out.failed;
      continue;
    }
    done.push_back(&record);
    out.total_input += record.prompt_len;
    out.total_output += record.output_len;
    out.num_with_usage += record.has_usage;
    out.good += is_good(record, options.goodput);
    values["ttft"].push_back(record.ttft * kMs);
    if (auto tpot = time_per_output_token(record)) values["tpot"].push_back(*tpot * kMs);
    for (double gap : record.itls) values["itl"].push_back(gap * kMs);
    values["e2el"].push_back(record.latency * kMs);
    values["client_queue_time"].push_back(record.client_queue_time * kMs);
    values["e2el_including_client_queue"].push_back((record.latency + record.client_queue_time) * kMs);
  }
  out.completed = std::ssize(done);
  out.duration_s = result.duration_s;
  double seconds = std::max(result.duration_s, 1e-9);
  out.request_throughput = static_cast<double>(out.completed) / seconds;
  out.request_goodput = static_cast<double>(out.good) / seconds;
  out.output_throughput = static_cast<double>(out.total_output) / seconds;
  out.total_token_throughput = static_cast<double>(out.total_input + out.total_output) / seconds;
  if (!done.empty()) {
    out.max_output_tokens_per_s = most_tokens_in_a_second(done);
    out.max_concurrent_requests = most_at_once(done);
  }
  for (const char* name : {"ttft", "tpot", "itl", "e2el"})
    out.distributions[name] = distribution_of(std::move(values[name]), options.percentiles);
  if (!options.with_client_queue) return out;
  for (const char* name : {"client_queue_time", "e2el_including_client_queue"})
    out.distributions[name] = distribution_of(std::move(values[name]), options.percentiles);
  return out;
}

}  // namespace pagoda
