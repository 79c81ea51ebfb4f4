#include "loadgen/load_generator.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <thread>

#include "base/check.h"
#include "http/async_client.h"

namespace pagoda {
namespace {

using Clock = AsyncClient::Clock;

class LoadGenerator {
 public:
  LoadGenerator(const LoadOptions& options, const std::vector<BenchPrompt>& prompts,
                const std::vector<double>& times, std::unique_ptr<AsyncClient> client)
      : options_(options), prompts_(prompts), times_(times), client_(std::move(client)) {
    records_.resize(prompts.size());
    std::string prefix = client_->base_path();
    while (prefix.ends_with('/')) prefix.pop_back();
    target_ = prefix + options.endpoint;
  }

  LoadResult run() {
    start_ = Clock::now();
    arrive();
    client_->run();
    return {std::move(records_), last_end_};
  }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  // Everything that is due arrives; the next arrival wakes us again.
  void arrive() {
    while (num_arrived_ < prompts_.size() && times_[num_arrived_] <= now())
      waiting_.push_back(num_arrived_++);
    send_waiting();
    if (num_arrived_ == prompts_.size()) return;
    auto offset = std::chrono::duration<double>(times_[num_arrived_]);
    client_->at(start_ + std::chrono::duration_cast<Clock::duration>(offset), [this] { arrive(); });
  }

  void send_waiting() {
    while (!waiting_.empty() && (options_.max_concurrency == 0 || num_running_ < options_.max_concurrency)) {
      std::size_t index = waiting_.front();
      waiting_.pop_front();
      send(index);
    }
  }

  void send(std::size_t index) {
    ++num_running_;
    const BenchPrompt& prompt = prompts_[index];
    RequestRecord& record = records_[index];
    AsyncClient::Request request;
    request.method = "POST";
    request.target = target_;
    request.body = request_body(options_.style, prompt);
    request.headers = options_.headers;
    request.timeout_s = options_.timeout_s;
    if (!options_.request_id_prefix.empty())
      request.headers.emplace_back("X-Request-Id", options_.request_id_prefix + std::to_string(index));
    record.prompt_len = prompt.prompt_len;
    record.start_time = now();
    record.client_queue_time = record.start_time - times_[index];
    auto reader =
        std::make_shared<AnswerReader>(&record, options_.style.chat, options_.keep_text, record.start_time);
    request.on_data = [this, reader](std::string_view bytes) { return reader->feed(bytes, now()); };
    request.on_done = [this, reader](Result<HttpResponse> response) {
      reader->finish(response.status(), response.ok() ? response->status : 0,
                     response.ok() ? response->body : std::string(), now());
      last_end_ = now();
      --num_running_;
      ++num_ended_;
      if (options_.on_progress) options_.on_progress(num_ended_);
      send_waiting();
    };
    client_->start(std::move(request));
  }

  const LoadOptions& options_;
  const std::vector<BenchPrompt>& prompts_;
  const std::vector<double>& times_;
  std::unique_ptr<AsyncClient> client_;
  std::string target_;
  Clock::time_point start_;
  std::vector<RequestRecord> records_;
  std::deque<std::size_t> waiting_;  // arrived, not sent
  std::size_t num_arrived_ = 0, num_ended_ = 0;
  int64_t num_running_ = 0;
  double last_end_ = 0;
};

}  // namespace

Result<LoadResult> run_load(const LoadOptions& options, const std::vector<BenchPrompt>& prompts,
                            const std::vector<double>& times) {
  PAGODA_CHECK(prompts.size() == times.size(), "one time for each prompt");
  PAGODA_TRY(auto client, AsyncClient::open(options.base_url));
  return LoadGenerator(options, prompts, times, std::move(client)).run();
}

Status wait_until_ready(const LoadOptions& options, const BenchPrompt& prompt, double timeout_s) {
  auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_s));
  LoadOptions once = options;
  once.on_progress = nullptr;
  for (;;) {
    double left = std::chrono::duration<double>(deadline - Clock::now()).count();
    once.timeout_s = std::clamp(left, 1.0, options.timeout_s);
    PAGODA_TRY(LoadResult result, run_load(once, {prompt}, {0}));
    if (result.records[0].success) return {};
    if (Clock::now() >= deadline)
      return io_error("the server was not ready within " + std::to_string(static_cast<int64_t>(timeout_s)) +
                      " s: " + result.records[0].error);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

}  // namespace pagoda
