#include "server/generation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory_reserve.h"
#include "frontend/answer_size.h"
#include "frontend/chat_prompt.h"
#include "server/caller.h"
#include "server/reply.h"
#include "server/request_log.h"
#include "server/routes.h"

namespace pagoda {
namespace {

constexpr Time kNever{};

// What an answer costs to write: tokens, each with its alternatives.
constexpr std::size_t kWrittenAtOnce = 4096;
// Of a stream, before they are handed over: many deltas may have come together, and large ones.
constexpr std::size_t kEventBytesHeld = 64 << 10;

std::size_t num_logprobs(const TextDelta& delta) {
  std::size_t count = 0;
  for (const auto* rows : {&delta.logprobs, &delta.prompt_logprobs})
    if (!rows->empty()) count += rows->size() * (1 + rows->back().top.size());
  return count;
}
std::size_t weight_of(const TextDelta& whole) {
  return whole.token_ids.size() + whole.prompt_token_ids.size() + num_logprobs(whole);
}

}  // namespace

void GenerationSet::add(std::shared_ptr<Generation> generation) {
  std::lock_guard lock(mutex_);
  members_.insert(std::move(generation));
}
void GenerationSet::remove(const std::shared_ptr<Generation>& generation) {
  std::lock_guard lock(mutex_);
  members_.erase(generation);
}
std::size_t GenerationSet::size() const {
  std::lock_guard lock(mutex_);
  return members_.size();
}
void GenerationSet::clear() {
  std::unordered_set<std::shared_ptr<Generation>> all;
  {
    std::lock_guard lock(mutex_);
    all.swap(members_);
  }
}

void GenerationSet::abort(const std::vector<std::string>& ids) {
  // Both may be many.
  const std::unordered_set<std::string_view, KeyHash> wanted(ids.begin(), ids.end());
  std::vector<std::shared_ptr<Generation>> found;
  {
    std::lock_guard lock(mutex_);
    for (const auto& member : members_)
      if (wanted.contains(member->id()) || wanted.contains(member->bare_id())) found.push_back(member);
  }
  for (const auto& generation : found) generation->abort();
}

std::size_t GenerationSet::abort_all() {
  std::vector<std::shared_ptr<Generation>> all;
  {
    std::lock_guard lock(mutex_);
    all.assign(members_.begin(), members_.end());
  }
  for (const auto& generation : all) generation->abort();
  return all.size();
}

void GenerationSet::cut_off_all(const Status& why) {
  std::vector<std::shared_ptr<Generation>> all;
  {
    std::lock_guard lock(mutex_);
    all.assign(members_.begin(), members_.end());
  }
  for (const auto& generation : all) generation->cut_off(why);
}

void Generation::begin(RouteContext* context, const HttpRequest& http, ParsedRequest request,
                       const AnswerFormat& format, std::shared_ptr<ResponseWriter> writer) {
  const ApiServerConfig& config = context->config;
  const ModelInfo& model = context->intake->model();
  ResponseHead head;
  head.id = std::string(format.id_prefix()) + choose_request_id(http, request.request_id);
  head.model = model.served_names.front();
  head.system_fingerprint = config.system_fingerprint;
  head.created = static_cast<int64_t>(std::time(nullptr));
  head.role = answer_role(model, request.generate.prompt);
  if (config.enable_log_requests) log_request(head.id, request.generate, request.shape, config.max_log_len);

  RequestContext known = request_context(http, config, head.id, request.user, request.timeout_s,
                                         std::chrono::steady_clock::now());
  auto shape = std::make_shared<const ResponseShape>(std::move(request.shape));
  auto self = std::make_shared<Generation>(context, format, std::move(shape), std::move(head),
                                           known.tenant.key, writer);
  std::weak_ptr<Generation> weak = self;
  auto wake = [weak, writer] {
    writer->post([weak] {
      if (auto alive = weak.lock()) alive->pump();
    });
  };
  try {
    self->open(std::move(request.generate), std::move(known), std::move(wake));
  } catch (...) {
    self->give_up();
  }
}

void Generation::open(GenerateRequest request, RequestContext known, std::function<void()> wake) {
  // Before admission: from then on the first delta may come at any time. Tasks of this connection wait for
  // this one.
  context_->generations.add(shared_from_this());
  const auto num_choices =
      static_cast<std::size_t>(shape_->n) * static_cast<std::size_t>(request.num_prompts());
  auto stream = context_->intake->admit(std::move(request), shape_, std::move(known), std::move(wake));
  if (!stream.ok()) return fail(stream.status());
  {
    std::lock_guard lock(stream_mutex_);
    stream_ = std::move(*stream);
  }
  choices_.resize(num_choices);  // no more than the queue holds: a small body may ask for very many
  for (std::size_t i = 0; i < num_choices; ++i) choices_[i].result.index = static_cast<int32_t>(i);
  writer_->on_close([weak = weak_from_this()] {
    if (auto alive = weak.lock()) alive->cancel();
  });
}

Generation::Generation(RouteContext* context, const AnswerFormat& format,
                       std::shared_ptr<const ResponseShape> shape, ResponseHead head, uint64_t tenant_key,
                       std::shared_ptr<ResponseWriter> writer)
    : context_(context),
      format_(format),
      shape_(std::move(shape)),
      head_(std::move(head)),
      tenant_key_(tenant_key),
      writer_(std::move(writer)) {}

std::string_view Generation::bare_id() const {
  return id().substr(id().find('-') + 1);
}

void Generation::abort() {
  std::lock_guard lock(stream_mutex_);
  if (stream_) stream_.abort();
}

void Generation::cut_off(const Status& why) {
  writer_->post([self = shared_from_this(), why] {
    if (self->ended_) return;
    {
      std::lock_guard lock(self->stream_mutex_);
      if (self->stream_) self->stream_.cancel();
    }
    self->fail(why);
    if (!self->events_.empty()) self->writer_->write(std::exchange(self->events_, {}));
    if (self->streaming_) self->writer_->finish();
  });
}

void Generation::cancel() {
  if (ended_) return;
  ended_ = true;
  if (context_->config.enable_log_requests) log_info("Aborted request {}: the client has gone.", head_.id);
  if (stream_) stream_.cancel();
  context_->generations.remove(shared_from_this());
}

// What there is no memory for fails this request.
void Generation::pump() {
  if (ended_ || !stream_) return;
  auto self = shared_from_this();  // end() lets go of the last owner
  try {
    read_stream();
  } catch (...) {
    give_up();
  }
}

void Generation::give_up() {
  UseOfReserve to_tell;
  choices_.clear();
  events_ = {};
  const bool told = insist([&] {
    Status status = status_of_exception();
    if (status.code() == StatusCode::kExhausted) status = no_memory_for_answer();
    if (stream_) stream_.cancel();
    events_.clear();
    fail(status);
    if (!events_.empty()) writer_->write(std::move(events_));
    if (streaming_) writer_->finish();
    log_error("Request {} failed: {}", head_.id, status.message());
  });
  ended_ = true;  // the writer that goes with it, untold, ends the answer
  if (!told) context_->generations.remove(shared_from_this());
}

void Generation::read_stream() {
  TextDelta delta;
  while (!ended_ && may_go_on() && stream_.next(&delta)) {
    if (!delta.error.ok())
      fail(delta.error);
    else
      take(std::move(delta));
    if (events_.size() < kEventBytesHeld) continue;
    writer_->write(std::exchange(events_, {}));
    has_written_much_ = true;
  }
  if (!ended_ && stream_.done() && !has_written_much_) end();
  if (!ended_ && stream_.admitted() && shape_->stream) start_stream();
  if (!events_.empty()) writer_->write(std::move(events_));
  events_.clear();
  if (ended_ && streaming_) writer_->finish();
}

// Where much comes at once, the client sets the pace.
bool Generation::may_go_on() {
  if (!has_written_much_) return true;
  has_written_much_ = !writer_->writable([weak = weak_from_this()] {
    if (auto alive = weak.lock()) alive->pump();
  });
  return !has_written_much_;
}

void Generation::take(TextDelta&& delta) {
  int32_t index = delta.prompt_index * shape_->n + delta.choice;
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  choice.counts = delta.counts;
  if (delta.finish != FinishReason::kNone) choice.timings = delta.timings;
  constexpr std::size_t kCharBytesMax = 4;
  if (context_->config.enable_log_outputs &&
      choice.logged_text.size() < kCharBytesMax * logged_chars(context_->config.max_log_len))
    choice.logged_text += delta.text;
  if (!shape_->stream) return keep(std::move(delta), &choice);
  stream_delta(std::move(delta), &choice, index);
}

void Generation::keep(TextDelta&& delta, Choice* choice) {
  num_logprobs_ += static_cast<int64_t>(num_logprobs(delta));
  choice->result.append(std::move(delta));
  const Status few =
      check_num_logprobs(static_cast<double>(num_logprobs_), context_->intake->model().answer_logprobs_max);
  if (few.ok()) return;
  {
    std::lock_guard lock(stream_mutex_);
    stream_.cancel();
  }
  fail(few);
}

bool Generation::gather_piece(TextDelta* delta, Choice* choice) const {
  const int64_t interval =
      shape_->stream_interval > 0 ? shape_->stream_interval : context_->config.stream_interval;
  if (interval <= 1) return true;
  choice->held.append(std::move(*delta));
  const bool at_once = !choice->begun || choice->held.whole.finish != FinishReason::kNone;
  if (!at_once && static_cast<int64_t>(choice->held.whole.token_ids.size()) < interval) return false;
  choice->begun = true;
  *delta = std::exchange(choice->held.whole, {});
  return true;
}

void Generation::stream_delta(TextDelta&& delta, Choice* choice, int32_t index) {
  begin_answer(delta);
  if (!gather_piece(&delta, choice)) return;
  // Without a tokenizer no token has a text; that it has come is told all the same.
  bool shows = !delta.text.empty() || !delta.prompt_text.empty() || delta.finish != FinishReason::kNone ||
               shape_->num_logprobs || shape_->return_token_ids || shape_->continuous_usage ||
               context_->intake->model().tokenizer == nullptr;
  if (!shows) return;
  format_.delta(&events_, head_, *shape_, delta, index);
}

void Generation::start_stream() {
  if (std::exchange(streaming_, true)) return;
  writer_->start_stream(200, "text/event-stream; charset=utf-8",
                        {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}});
}

void Generation::begin_answer(const TextDelta& first) {
  start_stream();
  if (!std::exchange(begun_, true)) format_.begin(&events_, head_, *shape_, choices_.size(), first);
}

void Generation::leave() {
  writer_->post([self = shared_from_this()] { self->context_->generations.remove(self); });
}

void Generation::end() {
  ended_ = true;
  if (context_->config.enable_log_outputs) log_output();
  if (shape_->stream) {
    begin_answer({});
    format_.end(&events_, head_, *shape_, summary());
    return context_->generations.remove(shared_from_this());
  }
  auto results = std::make_shared<std::vector<ChoiceResult>>();
  std::size_t weight = 0;
  for (Choice& choice : choices_) {
    weight += weight_of(choice.result.whole);
    results->push_back(std::move(choice.result));
  }
  // Nothing of the server but the writer: by the time this runs on the pool it may have ended.
  auto answer = [self = shared_from_this(), results, end = summary()] {
    self->writer_->send(json_response(self->format_.whole(self->head_, *self->shape_, *results, end)));
    self->leave();
  };
  auto failed = [self = shared_from_this()](const Status& status) {
    self->writer_->send(error_response(status));
    self->leave();
  };
  TaskPool* const pool = context_->intake->text_pool();
  // A large one would hold up the other connections of this I/O thread.
  if (weight <= kWrittenAtOnce || !pool->submit(answer, failed, tenant_key_).ok()) answer();
}

void Generation::fail(const Status& why) {
  ended_ = true;
  if (streaming_)
    format_.error(&events_, to_api_error(why));
  else
    writer_->send(error_response(why));
  context_->generations.remove(shared_from_this());
}

void Generation::log_output() const {
  for (const Choice& choice : choices_)
    log_info("Generated response {}: choice: {}, output: {}, output tokens: {}.", head_.id,
             choice.result.index, output_for_log(choice.logged_text, context_->config.max_log_len),
             choice.counts.num_output);
}

AnswerEnd Generation::summary() const {
  AnswerEnd end{total_usage(), std::nullopt};
  // Of several choices, or prompts, they would tell of one.
  if (context_->config.enable_per_request_metrics && choices_.size() == 1) end.metrics = timing();
  return end;
}

Usage Generation::total_usage() const {
  Usage usage;
  int64_t cached = 0, created = 0;
  const int64_t block = std::max(context_->intake->model().cache_block_size, 1);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const ChoiceCounts& counts = choices_[i].counts;
    usage.completion_tokens += counts.num_output;
    if (i % static_cast<std::size_t>(shape_->n) != 0) continue;  // choices share their prompt
    usage.prompt_tokens += counts.num_prompt;
    cached += counts.num_cached;
    // Full blocks of the prompt that were not there before.
    created += std::max<int64_t>(counts.num_prompt / block * block - counts.num_cached, 0);
  }
  if (context_->config.enable_prompt_tokens_details) {
    usage.cached_tokens = cached;
    usage.created_cache_tokens = context_->intake->model().cache_block_size > 0 ? created : 0;
  }
  return usage;
}

RequestMetrics Generation::timing() const {
  const Choice& choice = choices_.front();
  const RequestTimings& at = choice.timings;
  auto ms_between = [](Time from, Time to) {
    return from == kNever || to == kNever ? NAN
                                          : std::chrono::duration<double, std::milli>(to - from).count();
  };
  RequestMetrics out;
  out.time_to_first_token_ms = ms_between(at.scheduled, at.first_token);
  out.generation_time_ms = ms_between(at.first_token, at.last_token);
  out.queue_time_ms = ms_between(at.arrival, at.scheduled);
  const int32_t num_output = choice.counts.num_output;
  if (num_output > 1) out.mean_itl_ms = out.generation_time_ms / (num_output - 1);
  const double inference_ms = ms_between(at.scheduled, at.last_token);
  if (inference_ms > 0) out.tokens_per_second = num_output / inference_ms * 1000;
  return out;
}

}  // namespace pagoda
