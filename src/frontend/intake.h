// The frontend room: the only one that joins text to tokens. Intake turns a GenerateRequest into engine Requests (template,
// tokenizer, model's limits); OutputStream turns TokenEvents into TextDeltas (detokenize, stop strings, log-probabilities).
// Threads: admit() runs on an I/O thread and never blocks; rendering and tokenizing run on the text pool; events arrive on
// the engine thread; next() is called by one thread at a time, the I/O thread of the connection.
#pragma once
#include <functional>
#include <memory>

#include "base/status.h"
#include "base/thread_pool.h"
#include "contract/generate_request.h"
#include "contract/text_delta.h"
#include "engine/engine.h"
#include "frontend/model_info.h"

namespace pagoda {

// The answers of one API request: prompts x choices, interleaved as they come.
class OutputStream {
 public:
  virtual ~OutputStream() = default;
  // The next piece, if there is one now; does not wait. After a delta with `error`, or after the last choice's finish,
  // there is nothing more: done() is true.
  virtual bool next(TextDelta* delta) = 0;
  virtual bool done() const = 0;
  virtual int32_t num_prompts() const = 0;
  // The client has gone: everything unfinished ends now. Idempotent, any thread.
  virtual void cancel() = 0;
};

class Intake {
 public:
  // All pointers outlive the Intake.
  Intake(std::shared_ptr<const ModelInfo> model, Engine* engine, TaskPool* text_pool);

  // Takes places in the engine's queue first (kExhausted or kUnavailable at once, before any work on the text), judges the
  // model's name (kNotFound), and hands the rest to the text pool. `wake` is called from any thread whenever next() may have
  // something; it must be cheap and must arrange for next() to be called soon. Errors found on the way (context too long,
  // template refused, ...) arrive as a delta with `error`.
  Result<std::shared_ptr<OutputStream>> admit(GenerateRequest request, std::function<void()> wake);

  // The prompt that a chat becomes; errors as of the template. Runs on the calling thread.
  Result<std::string> render_chat(const ChatPrompt& chat) const;
  // Token ids of a chat or text prompt, judged for nothing but the vocabulary.
  Result<std::vector<TokenId>> tokenize(const GenerateRequest& request) const;

  const ModelInfo& model() const { return *model_; }

 private:
  std::shared_ptr<const ModelInfo> model_;
  Engine* engine_;
  TaskPool* text_pool_;
};

}  // namespace pagoda
