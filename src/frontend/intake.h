// The frontend room: the only one that joins text to tokens. Intake turns a GenerateRequest into engine
// Requests (template, tokenizer, model's limits and defaults); OutputStream turns TokenEvents into TextDeltas
// (detokenize, stop strings, log-probabilities). It knows nothing of JSON or HTTP, and never waits for the
// engine. Threads: admit() runs on an I/O thread and never blocks; rendering and tokenizing run on the text
// pool; events arrive on the engine's publishing thread; next() is called by one thread at a time, the I/O
// thread of the connection. Invariant: a stream whose last reference is dropped leaves nothing running in the
// engine.
#pragma once
#include <functional>
#include <memory>
#include <mutex>

#include "base/cancel.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "contract/generate_request.h"
#include "contract/text_delta.h"
#include "engine/engine.h"
#include "frontend/deadlines.h"
#include "frontend/model_info.h"

namespace pagoda {

class StreamCore;

// The answers of one API request: prompts x choices, interleaved as they come. What it buffers is bounded by
// what the request may generate. Destroying it cancels.
class OutputStream {
 public:
  OutputStream() = default;  // of no request: only to be assigned to
  explicit OutputStream(std::shared_ptr<StreamCore> core);
  ~OutputStream();
  OutputStream(OutputStream&& other) noexcept = default;
  OutputStream& operator=(OutputStream&& other) noexcept;
  explicit operator bool() const { return core_ != nullptr; }

  // The next piece, if there is one now; does not wait. After a delta with an error, or after the last
  // choice's finish, there is nothing more: done() is true. A choice that ended by a stop string says so at
  // once; its tokens are the ones up to that.
  bool next(TextDelta* delta);
  bool done() const;
  // All prompts have been checked and the engine has them; `wake` is called for this too.
  bool admitted() const;
  // Everything unfinished ends with kAbort, and the reader hears of it. Any thread.
  void abort();
  // The client has gone: everything unfinished ends now. Idempotent, any thread.
  void cancel();

 private:
  std::shared_ptr<StreamCore> core_;
};

// What a request is told whose answer is too large for the memory that there is.
inline Status no_memory_for_answer() {
  return {StatusCode::kExhausted,
          "There is too little memory for the answer to this request: ask for fewer choices (n) or "
          "log-probabilities (logprobs, top_logprobs, prompt_logprobs), or try again later."};
}

// ... and whose time limit has passed with nothing of the answer told.
inline Status no_time_for_answer() {
  return {StatusCode::kTimeout, "The request's time ran out before there was an answer: the server is busy."};
}

// Work on text without the engine (tokenizing for its own sake), on the text pool and in a place of the
// queue. Either run() is called, or fail(), or fail() while it runs: the first answer counts.
class TextJob : public Expirable {
 public:
  TextJob(const Tenant& tenant, Time deadline) : tenant_(tenant), deadline_(deadline) {}
  // Its answer is no longer wanted. Any thread.
  void cancel() { unwanted_.cancel(); }
  // It is not to be done, or not to its end. Any thread. The answer comes first: work that is cancelled may
  // return with half of its result.
  void give_up(const Status& why) {
    fail(why);
    cancel();
  }
  void expire() final { give_up(no_time_for_answer()); }
  const CancelToken* unwanted() const { return &unwanted_; }
  const Tenant& tenant() const { return tenant_; }
  Time deadline() const { return deadline_; }

  virtual void run() = 0;

 protected:
  virtual void fail(const Status& why) = 0;

 private:
  const Tenant tenant_;
  const Time deadline_;
  CancelToken unwanted_;
};

class Intake {
 public:
  // The engine outlives the Intake and its streams. The text pool ends before the Intake, which its work
  // uses, and after the last call of admit() and work().
  Intake(std::shared_ptr<const ModelInfo> model, Engine* engine, TaskPool* text_pool);

  // Takes places in the engine's queue first (kExhausted or kUnavailable at once, before any work on the
  // text), checks the model's name (kNotFound), and hands the rest to the text pool. `wake` is called from
  // any thread whenever next() may have something, once until next() has returned false; it must be cheap and
  // must arrange for next() to be called soon. It is dropped when the stream is done or cancelled. Errors
  // found on the way (context too long, template refused, ...) arrive as a delta with an error.
  Result<OutputStream> admit(GenerateRequest request, std::shared_ptr<const ResponseShape> shape,
                             RequestContext context, std::function<void()> wake);

  // Hands a job to the text pool; it takes one place of the queue until it is done. Errors: as admit()'s;
  // then the job hears nothing.
  Status work(std::shared_ptr<TextJob> job);

  // kNotFound unless it is empty or one of the served names.
  Status check_model_name(const std::string& name) const;
  // The prompt that a chat becomes; errors as of the template. Runs on the calling thread.
  Result<std::string> render_chat(const ChatPrompt& chat) const;
  // Token ids of a chat or of the first text prompt, which may be longer than the context, but not in bytes
  // than a text that fits could be.
  Result<std::vector<TokenId>> tokenize(const GenerateRequest& request) const;
  // The text of ids; kInvalidArgument (`tokens`) for one outside of the vocabulary, or for too long a text.
  Result<std::string> detokenize(const std::vector<TokenId>& ids) const;

  const ModelInfo& model() const { return *model_; }
  TaskPool* text_pool() const { return text_pool_; }

 private:
  uint64_t draw_seed();

  std::shared_ptr<const ModelInfo> model_;
  Engine* engine_;
  TaskPool* text_pool_;
  std::size_t longest_token_ = 0;  // bytes
  std::mutex seed_mutex_;
  SplitMix64 seeds_;
  Deadlines deadlines_;
};

}  // namespace pagoda
