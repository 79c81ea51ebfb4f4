#include "loadgen/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/json.h"
#include "loadgen/statistics.h"

namespace pagoda {
namespace {

constexpr double kLatencyPercents[] = {10, 25, 50, 75, 90, 99};

// Counts what comes of a batch. Events arrive on the engine's thread; one thread waits.
class BatchSink : public EventSink {
 public:
  explicit BatchSink(std::function<void(std::size_t)> on_progress) : on_progress_(std::move(on_progress)) {}

  void on_event(TokenEvent&& event) override {
    if (event.finish == FinishReason::kNone) return;
    std::lock_guard lock(mutex_);
    num_output_tokens_ += event.counts.num_output;
    if (event.finish == FinishReason::kError || event.finish == FinishReason::kAbort)
      failure_ = event.error.empty() ? "the engine ended it" : event.error;
    ++num_ended_;
    if (on_progress_) on_progress_(num_ended_);
    one_ended_.notify_one();
  }

  // The tokens of all, once so many answers have ended.
  Result<int64_t> wait(std::size_t num_answers) {
    std::unique_lock lock(mutex_);
    one_ended_.wait(lock, [&] { return num_ended_ == num_answers; });
    if (!failure_.empty()) return internal_error("a request failed: " + failure_);
    return num_output_tokens_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable one_ended_;
  const std::function<void(std::size_t)> on_progress_;
  std::size_t num_ended_ = 0;
  int64_t num_output_tokens_ = 0;
  std::string failure_;
};

std::unique_ptr<Request> make_request(Engine* engine, const BenchPrompt& prompt,
                                      const OfflineOptions& options, uint64_t seed) {
  auto request = std::make_unique<Request>();
  request->id = engine->next_request_id();
  request->prompt = prompt.ids;
  request->n = options.n;
  request->params.temperature = options.temperature;
  request->params.seed = seed;
  request->params.ignore_eos = true;
  request->params.max_tokens = static_cast<int32_t>(prompt.output_len);
  request->arrival = std::chrono::steady_clock::now();
  return request;
}

double per_second(int64_t count, const OfflineResult& result) {
  return static_cast<double>(count) / std::max(result.elapsed_s, 1e-9);
}

}  // namespace

Result<OfflineResult> run_offline(Engine* engine, const std::vector<BenchPrompt>& prompts,
                                  const OfflineOptions& options) {
  OfflineResult result;
  // Places and requests are made beforehand: the clock sees the engine only. A refusal leaves nothing behind.
  std::vector<Engine::QueueTicket> tickets;
  std::vector<std::unique_ptr<Request>> requests;
  for (const BenchPrompt& prompt : prompts) {
    PAGODA_TRY(Engine::QueueTicket ticket, engine->reserve(options.n));
    tickets.push_back(std::move(ticket));
    requests.push_back(make_request(engine, prompt, options, options.seed + requests.size()));
    result.num_prompt_tokens += std::ssize(prompt.ids);
  }
  auto sink = std::make_shared<BatchSink>(options.on_progress);
  auto start = std::chrono::steady_clock::now();
  Status status;
  std::size_t num_submitted = 0;
  for (; status.ok() && num_submitted < requests.size(); num_submitted += status.ok())
    status = engine->submit(std::move(requests[num_submitted]), std::move(tickets[num_submitted]), sink);
  // What was taken is waited for whatever happened to the others: the sink is told of it.
  Result<int64_t> num_output_tokens = sink->wait(num_submitted * static_cast<std::size_t>(options.n));
  if (!status.ok()) return status;
  if (!num_output_tokens.ok()) return num_output_tokens.status();
  result.num_output_tokens = *num_output_tokens;
  result.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::string latency_report(const std::vector<double>& latencies) {
  Distribution all = distribution_of(latencies, {std::begin(kLatencyPercents), std::end(kLatencyPercents)});
  std::string out = fmt::format("Avg latency: {} seconds\n", python_float_repr(all.mean));
  for (const auto& [percent, value] : all.percentiles)
    out += fmt::format("{:.0f}% percentile latency: {} seconds\n", percent, python_float_repr(value));
  return out;
}

Object latency_result(const std::vector<double>& latencies) {
  Distribution all = distribution_of(latencies, {std::begin(kLatencyPercents), std::end(kLatencyPercents)});
  Object out, percentiles;
  for (const auto& [percent, value] : all.percentiles) percentiles.set(fmt::format("{:.0f}", percent), value);
  out.set("avg_latency", all.mean);
  out.set("latencies", Array(latencies.begin(), latencies.end()));
  out.set("percentiles", std::move(percentiles));
  return out;
}

std::string throughput_report(const OfflineResult& result, int64_t num_requests) {
  return fmt::format(
      "Throughput: {:.2f} requests/s, {:.2f} total tokens/s, {:.2f} output tokens/s\n"
      "Total num prompt tokens:  {}\n"
      "Total num output tokens:  {}\n",
      per_second(num_requests, result),
      per_second(result.num_prompt_tokens + result.num_output_tokens, result),
      per_second(result.num_output_tokens, result), result.num_prompt_tokens, result.num_output_tokens);
}

Object throughput_result(const OfflineResult& result, int64_t num_requests) {
  Object out;
  out.set("elapsed_time", result.elapsed_s);
  out.set("num_requests", num_requests);
  out.set("total_num_tokens", result.num_prompt_tokens + result.num_output_tokens);
  out.set("requests_per_second", per_second(num_requests, result));
  out.set("tokens_per_second", per_second(result.num_prompt_tokens + result.num_output_tokens, result));
  return out;
}

}  // namespace pagoda
