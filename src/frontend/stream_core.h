#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "contract/generate_request.h"
#include "contract/text_delta.h"
#include "contract/token_event.h"
#include "engine/engine.h"
#include "frontend/choice_text.h"
#include "frontend/deadlines.h"
#include "frontend/model_info.h"

namespace pagoda {

// One prompt of an API request, ready for the engine.
struct PreparedPrompt {
  std::string echo_text;
  std::unique_ptr<Request> request;
  Engine::QueueTicket ticket;
};

// What an OutputStream, its task on the text pool and the engine's sinks share. Three threads touch it: the
// text pool (start, fail), the engine's publisher (put) and the reader (next). The queue is all they share;
// the rest belongs to the reader from the first put or fail on.
class StreamCore : public Expirable, public std::enable_shared_from_this<StreamCore> {
 public:
  // echo_only: no token of the answer is wanted.
  StreamCore(std::shared_ptr<const ModelInfo> model, Engine* engine,
             std::shared_ptr<const ResponseShape> shape, RequestContext context, int32_t num_prompts,
             bool echo_only, std::function<void()> wake);

  const ResponseShape& shape() const { return *shape_; }
  const RequestContext& context() const { return context_; }
  bool is_cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // Cancelled once it is of no use to prepare the prompts: the reader has gone, or has been told an error.
  const CancelToken* unwanted() const { return &unwanted_; }

  // Text pool: hands the prompts to the engine.
  void start(std::vector<PreparedPrompt> prompts);
  // Any thread: ends all of it with an error.
  void fail(const Status& status);
  // The deadline has passed; from start() on the engine looks at it.
  void expire() override;
  // The engine's publishing thread.
  void put(int32_t prompt_index, TokenEvent&& event);
  // There was no memory for what it should have been told: it ends with an error. Any thread.
  void lose() noexcept;
  // Reader.
  bool next(TextDelta* delta);
  bool admitted() const { return admitted_.load(std::memory_order_acquire); }
  bool done() const { return done_.load(std::memory_order_acquire) || is_cancelled(); }
  // Any thread.
  void abort();
  void cancel();

 private:
  struct Choice {
    std::unique_ptr<ChoiceText> text;
    TokenPlaces places;
    bool begun = false, ended = false;
  };
  struct Prompt {
    RequestId id = 0;
    SharedList<TokenId> ids;
    std::string echo_text;
    std::vector<TokenLogprobText> logprobs;  // of the prompt, as far as they have come
    std::size_t num_echoed = 0;              // characters before the answer's text
    std::optional<IncrementalDetokenizer> text;
    TokenPlaces places;
    std::vector<Choice> choices;
    int32_t num_ended = 0;
  };
  struct StreamEvent {
    int32_t prompt_index = 0;
    TokenEvent event;
    Status error;  // not ok: all of it has failed
  };

  void post(StreamEvent event);
  bool is_behind() const;
  void call(const std::shared_ptr<std::function<void()>>& wake);
  void note_admitted();
  // False: nothing to tell yet.
  bool read(StreamEvent* next, TextDelta* delta);
  bool read_event(int32_t prompt_index, TokenEvent* event, TextDelta* delta);
  void take_prompt_logprobs(Prompt* prompt, const TokenRows& rows);
  void place_first_token(Prompt* prompt) const;
  void align_with_echo(Prompt* prompt) const;
  void place_prompt_token(Prompt* prompt, TokenLogprobText token) const;
  void begin_choice(Prompt* prompt, Choice* choice, TextDelta* delta);
  void take_tokens(const Prompt& prompt, Choice* choice, const TokenEvent& event, TextDelta* delta);
  void end_choice(Prompt* prompt, Choice* choice, int32_t choice_index, bool still_running);
  TokenText token_text(TokenId id, float logprob, int32_t rank) const;
  TokenLogprobText logprob_text(const TokenRows& rows, std::size_t index) const;
  void finish();
  bool timed_out_before_first_token(const TokenEvent& event) const;

  const std::shared_ptr<const ModelInfo> model_;
  Engine* const engine_;
  const std::shared_ptr<const ResponseShape> shape_;
  const RequestContext context_;
  const int32_t num_prompts_;
  const bool echo_only_;
  const std::shared_ptr<const StopStrings> stops_;

  std::mutex mutex_;
  std::deque<StreamEvent> queue_;                // guarded by mutex_
  std::size_t queued_bytes_ = 0;                 // guarded: of log-probabilities in queue_
  std::shared_ptr<std::function<void()>> wake_;  // guarded
  std::vector<RequestId> submitted_;             // guarded
  bool lost_ = false;                            // guarded
  bool wake_pending_ = false;  // guarded: the reader knows and has not yet found the queue empty
  std::atomic<bool> cancelled_{false}, aborted_{false}, started_{false}, admitted_{false}, done_{false};
  CancelToken unwanted_;

  std::deque<StreamEvent> unread_, parked_;
  std::vector<Prompt> prompts_;
  int32_t num_prompts_ended_ = 0;
  bool any_output_ = false;  // of any choice
};

}  // namespace pagoda
