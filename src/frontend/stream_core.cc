#include "frontend/stream_core.h"

#include <algorithm>
#include <new>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "base/utf8.h"
#include "frontend/intake.h"

namespace pagoda {
namespace {

// Of log-probabilities that wait for a reader whose client does not keep up.
constexpr std::size_t kQueuedBytesMax = 64 << 20;

std::size_t logprob_bytes(const TokenEvent& event) {
  return (event.out.top.size() + event.prompt.top.size()) * sizeof(TopLogprob);
}

class PromptSink : public EventSink {
 public:
  PromptSink(std::shared_ptr<StreamCore> core, int32_t prompt_index)
      : core_(std::move(core)), prompt_index_(prompt_index) {}
  void on_event(TokenEvent&& event) override { core_->put(prompt_index_, std::move(event)); }
  void on_lost() noexcept override { core_->lose(); }

 private:
  const std::shared_ptr<StreamCore> core_;
  const int32_t prompt_index_;
};

}  // namespace

StreamCore::StreamCore(std::shared_ptr<const ModelInfo> model, Engine* engine,
                       std::shared_ptr<const ResponseShape> shape, RequestContext context,
                       int32_t num_prompts, bool echo_only, std::function<void()> wake)
    : model_(std::move(model)),
      engine_(engine),
      shape_(std::move(shape)),
      context_(std::move(context)),
      num_prompts_(num_prompts),
      echo_only_(echo_only),
      stops_(std::make_shared<StopStrings>(shape_->stop)),
      wake_(std::make_shared<std::function<void()>>(std::move(wake))) {}

void StreamCore::start(std::vector<PreparedPrompt> prompts) {
  if (started_.exchange(true)) return;  // too late
  // The reader sees prompts_ through the queue's lock, taken by the first event after this.
  prompts_.resize(prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    Prompt& prompt = prompts_[i];
    prompt.id = prompts[i].request->id;
    prompt.ids = prompts[i].request->prompt;
    prompt.echo_text = std::move(prompts[i].echo_text);
    if (shape_->echo) prompt.num_echoed = count_code_points(prompt.echo_text);
    if (shape_->num_prompt_logprobs && model_->tokenizer != nullptr)
      prompt.text.emplace(model_->tokenizer, false, true);
    prompt.choices.resize(static_cast<std::size_t>(shape_->n));
    bool skips = shape_->skip_special_tokens;
    bool at_start = std::all_of(prompt.ids.begin(), prompt.ids.end(), [&](TokenId id) {
      return skips && model_->tokenizer != nullptr && model_->tokenizer->is_special(id);
    });
    for (Choice& choice : prompt.choices)
      choice.text = std::make_unique<ChoiceText>(model_->tokenizer, stops_, skips, at_start,
                                                 shape_->include_stop_str_in_output,
                                                 prompts[i].request->params.min_tokens);
  }
  {
    std::lock_guard lock(mutex_);
    submitted_.reserve(prompts.size());
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (unwanted_.is_cancelled()) return;
    RequestId id = prompts[i].request->id;
    auto sink = std::make_shared<PromptSink>(shared_from_this(), static_cast<int32_t>(i));
    Status status =
        engine_->submit(std::move(prompts[i].request), std::move(prompts[i].ticket), std::move(sink));
    if (!status.ok()) return fail(status);
    bool too_late = false;
    {
      std::lock_guard lock(mutex_);
      submitted_.push_back(id);
      too_late = is_cancelled() || aborted_;  // its end has read submitted_ already, or will read this one
    }
    if (too_late) engine_->cancel(id);
  }
  note_admitted();
}

void StreamCore::note_admitted() {
  std::shared_ptr<std::function<void()>> wake;
  {
    std::lock_guard lock(mutex_);
    admitted_.store(true, std::memory_order_release);
    if (done() || wake_pending_) return;
    wake_pending_ = true;
    wake = wake_;
  }
  call(wake);
}

void StreamCore::expire() {
  if (done() || started_.exchange(true)) return;
  if (Status late = engine_->check_deadline(context_.deadline); !late.ok()) fail(late);
}

void StreamCore::fail(const Status& status) {
  unwanted_.cancel();
  try {
    StreamEvent failure;
    failure.error = status;
    post(std::move(failure));
  } catch (const std::bad_alloc&) {
    lose();
  }
}

void StreamCore::put(int32_t prompt_index, TokenEvent&& event) {
  post({prompt_index, std::move(event), {}});
}

void StreamCore::post(StreamEvent event) {
  std::shared_ptr<std::function<void()>> wake;
  {
    std::lock_guard lock(mutex_);
    if (done() || is_behind()) return;
    queued_bytes_ += logprob_bytes(event.event);
    if (is_behind()) {
      queue_.clear();
      event.error = Status(StatusCode::kExhausted, "The client takes its stream too slowly");
    }
    queue_.push_back(std::move(event));
    if (wake_pending_) return;
    wake_pending_ = true;
    wake = wake_;
  }
  call(wake);
}

// Requires: mutex_ is held.
bool StreamCore::is_behind() const {
  return shape_->stream && queued_bytes_ > kQueuedBytesMax;
}

// A wake that fails has not happened: the next event, or lose(), tries again.
void StreamCore::call(const std::shared_ptr<std::function<void()>>& wake) {
  if (wake == nullptr || !*wake) return;
  try {
    (*wake)();
  } catch (...) {
    std::lock_guard lock(mutex_);
    wake_pending_ = false;
    throw;
  }
}

void StreamCore::lose() noexcept {
  std::shared_ptr<std::function<void()>> wake;
  {
    std::lock_guard lock(mutex_);
    if (done()) return;
    lost_ = true;
    queue_.clear();
    if (wake_pending_) return;
    wake_pending_ = true;
    wake = wake_;
  }
  if (wake == nullptr || !*wake || insist(*wake)) return;
  {
    std::lock_guard lock(mutex_);
    wake_pending_ = false;  // the next event tries again
  }
  log_error("Request {} is lost, and its client could not be told.", context_.id);
}

bool StreamCore::next(TextDelta* delta) {
  while (!done()) {
    if (unread_.empty()) {
      std::lock_guard lock(mutex_);
      if (lost_) {
        queue_.clear();
        queue_.emplace_back().error = no_memory_for_answer();
      }
      unread_.swap(queue_);
      queued_bytes_ = 0;
      if (unread_.empty()) {
        wake_pending_ = false;
        return false;
      }
    }
    StreamEvent event = std::move(unread_.front());
    unread_.pop_front();
    *delta = TextDelta();
    if (read(&event, delta)) return true;
  }
  return false;
}

bool StreamCore::read(StreamEvent* next, TextDelta* delta) {
  TokenEvent& event = next->event;
  Status& error = next->error;
  if (error.ok() && event.finish == FinishReason::kError) {
    error = event.no_memory ? no_memory_for_answer() : internal_error(event.error);
    log_error("Request {} failed in the engine: {}", context_.id, error.message());
  }
  if (error.ok() && timed_out_before_first_token(event)) error = no_time_for_answer();
  if (!error.ok()) {
    delta->error = std::move(error);
    finish();
    cancel();  // the other prompts
    return true;
  }
  Prompt& prompt = prompts_[static_cast<std::size_t>(next->prompt_index)];
  if (shape_->num_prompt_logprobs) {
    take_prompt_logprobs(&prompt, event.prompt);
    event.prompt = TokenRows();
    // Nothing predicts the first token: a prompt of one has no rows.
    bool complete = prompt.ids.size() <= 1 || prompt.logprobs.size() >= prompt.ids.size() ||
                    event.finish == FinishReason::kAbort || event.finish == FinishReason::kTimeout;
    if (!complete &&
        !event.out.token.empty()) {  // another choice was quicker than choice 0 with the prompt's rows
      parked_.push_back(std::move(*next));
      return false;
    }
    if (complete && !parked_.empty()) {
      for (auto it = parked_.rbegin(); it != parked_.rend(); ++it) unread_.push_front(std::move(*it));
      parked_.clear();
    }
  }
  return read_event(next->prompt_index, &event, delta);
}

// Once something of the answer is there, a time-out is a reason to finish; before that it is an error.
bool StreamCore::timed_out_before_first_token(const TokenEvent& event) const {
  return event.finish == FinishReason::kTimeout && event.out.token.empty() && !any_output_;
}

bool StreamCore::read_event(int32_t prompt_index, TokenEvent* event, TextDelta* delta) {
  Prompt& prompt = prompts_[static_cast<std::size_t>(prompt_index)];
  Choice& choice = prompt.choices[static_cast<std::size_t>(event->choice)];
  if (choice.ended || (event->out.token.empty() && event->finish == FinishReason::kNone)) return false;
  delta->prompt_index = prompt_index;
  delta->choice = event->choice;
  delta->counts = event->counts;
  delta->timings = event->timings;
  any_output_ |= !event->out.token.empty();
  if (!choice.begun) begin_choice(&prompt, &choice, delta);
  if (echo_only_) {
    if (event->finish == FinishReason::kNone) return false;
    delta->counts.num_output = 0;
    delta->finish = event->finish == FinishReason::kStop ? FinishReason::kLength : event->finish;
  } else {
    take_tokens(prompt, &choice, *event, delta);
  }
  if (delta->finish != FinishReason::kNone)
    end_choice(&prompt, &choice, event->choice, event->finish == FinishReason::kNone);
  return true;
}

void StreamCore::take_prompt_logprobs(Prompt* prompt, const TokenRows& rows) {
  if (rows.token.empty()) return;
  if (prompt->logprobs.empty()) place_first_token(prompt);
  for (std::size_t i = 0; i < rows.token.size() && prompt->logprobs.size() < prompt->ids.size(); ++i)
    place_prompt_token(prompt, logprob_text(rows, i));
  if (prompt->logprobs.size() == prompt->ids.size()) align_with_echo(prompt);
}

// Nothing predicts it.
void StreamCore::place_first_token(Prompt* prompt) const {
  if (prompt->ids.empty()) return;
  TokenLogprobText first;
  first.token = token_text(*prompt->ids.begin(), 0, 0);
  first.has_logprob = false;
  place_prompt_token(prompt, std::move(first));
  if (prompt->ids.size() == 1) align_with_echo(prompt);
}

void StreamCore::place_prompt_token(Prompt* prompt, TokenLogprobText token) const {
  if (prompt->text) {
    const std::size_t before = prompt->text->num_characters();
    prompt->text->push(token.token.id);
    prompt->places.place(before, prompt->text->num_characters(), &token);
  }
  prompt->logprobs.push_back(std::move(token));
}

// Tokens that the tokenizer has put before a text are not echoed: the prompt's tokens end where the echo
// does.
void StreamCore::align_with_echo(Prompt* prompt) const {
  if (!prompt->text) return;
  prompt->text->finish();
  const std::size_t shown = prompt->text->num_characters();
  const auto unseen = static_cast<int32_t>(shown - std::min(shown, prompt->num_echoed));
  for (TokenLogprobText& token : prompt->logprobs)
    token.text_offset = std::max(token.text_offset - unseen, 0);
  prompt->text.reset();
}

void StreamCore::begin_choice(Prompt* prompt, Choice* choice, TextDelta* delta) {
  choice->begun = true;
  if (shape_->return_token_ids) delta->prompt_token_ids = prompt->ids;
  if (shape_->echo) delta->prompt_text = prompt->echo_text;
  if (!shape_->num_prompt_logprobs) return;
  // A prompt of one token has no rows to wait for.
  if (prompt->logprobs.empty()) place_first_token(prompt);
  if (shape_->echo || delta->choice == 0) delta->prompt_logprobs = prompt->logprobs;
}

void StreamCore::take_tokens(const Prompt& prompt, Choice* choice, const TokenEvent& event,
                             TextDelta* delta) {
  const TokenRows& rows = event.out;
  bool stopped = false;
  delta->counts.num_output -= static_cast<int32_t>(rows.token.size());
  for (std::size_t i = 0; i < rows.token.size() && !stopped; ++i) {
    ++delta->counts.num_output;
    delta->token_ids.push_back(rows.token[i]);
    const std::size_t before = choice->text->num_characters();
    // The token that ends an answer is not part of its text.
    bool is_end = event.finish == FinishReason::kStop && i + 1 == rows.token.size();
    if (!is_end || shape_->include_stop_str_in_output)
      stopped = choice->text->push(rows.token[i], delta->counts.num_output, &delta->text);
    if (!shape_->num_logprobs) continue;
    TokenLogprobText& token = delta->logprobs.emplace_back(logprob_text(rows, i));
    choice->places.place(prompt.num_echoed + before, prompt.num_echoed + choice->text->num_characters(),
                         &token);
  }
  if (!stopped && event.finish != FinishReason::kNone) choice->text->finish(&delta->text);
  if (stopped) {
    delta->finish = FinishReason::kStop;
    delta->stop_reason = choice->text->stop_string();
  } else {
    delta->finish = event.finish;
    if (event.finish == FinishReason::kStop && event.stop_token >= 0) delta->stop_reason = event.stop_token;
  }
}

void StreamCore::end_choice(Prompt* prompt, Choice* choice, int32_t choice_index, bool still_running) {
  choice->ended = true;
  choice->text.reset();
  if (still_running) engine_->finish(prompt->id, choice_index);
  if (++prompt->num_ended == shape_->n && ++num_prompts_ended_ == num_prompts_) finish();
}

TokenText StreamCore::token_text(TokenId id, float logprob, int32_t rank) const {
  TokenText out;
  out.id = id;
  if (model_->tokenizer != nullptr) out.bytes = model_->tokenizer->token_bytes(id);
  out.logprob = logprob;
  out.rank = rank;
  return out;
}

TokenLogprobText StreamCore::logprob_text(const TokenRows& rows, std::size_t index) const {
  TokenLogprobText out;
  float logprob = index < rows.logprob.size() ? rows.logprob[index] : 0;
  out.token = token_text(rows.token[index], logprob, index < rows.rank.size() ? rows.rank[index] : 0);
  if (index + 1 >= rows.top_begin.size()) return out;
  out.top.reserve(static_cast<std::size_t>(rows.top_begin[index + 1] - rows.top_begin[index]));
  for (int32_t i = rows.top_begin[index]; i < rows.top_begin[index + 1]; ++i) {
    const TopLogprob& top = rows.top[static_cast<std::size_t>(i)];
    out.top.push_back(token_text(top.id, top.logprob, i - rows.top_begin[index] + 1));
  }
  return out;
}

void StreamCore::finish() {
  done_.store(true, std::memory_order_release);
  std::lock_guard lock(mutex_);
  wake_.reset();
  queue_.clear();
}

void StreamCore::abort() {
  std::vector<RequestId> running;
  {
    std::lock_guard lock(mutex_);
    aborted_ = true;
    running = submitted_;
  }
  for (RequestId id : running) engine_->cancel(id);
}

void StreamCore::cancel() {
  UseOfReserve to_give_memory_back;
  std::vector<RequestId> running;
  {
    std::lock_guard lock(mutex_);
    if (is_cancelled()) return;
    cancelled_.store(true, std::memory_order_release);
    unwanted_.cancel();
    wake_.reset();
    queue_.clear();
    running = submitted_;
  }
  for (RequestId id : running) engine_->cancel(id);
}

}  // namespace pagoda
