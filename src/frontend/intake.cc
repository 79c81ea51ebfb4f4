#include "frontend/intake.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <random>
#include <utility>

#include "base/cancel.h"
#include "base/excerpt.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "frontend/answer_size.h"
#include "frontend/chat_prompt.h"
#include "frontend/sampling.h"
#include "frontend/stream_core.h"

namespace pagoda {
namespace {

// As large as a body may be.
constexpr std::size_t kDetokenizedBytesMax = std::size_t{64} << 20;

int64_t unix_now() {
  return static_cast<int64_t>(std::time(nullptr));
}

uint64_t random_64() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

Status check_vocabulary(const ModelInfo& model, const std::vector<TokenId>& ids, const std::string& field) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= model.vocab_size)
      return invalid_argument(fmt::format("{}.{}: token id {} is out of vocabulary (0 to {})", field, i,
                                          ids[i], model.vocab_size - 1));
  return {};
}

// What a text that fits the context has at most. Normalizers shorten a text at most threefold (a decomposed
// character of three code points becomes one).
std::size_t most_bytes(const ModelInfo& model, std::size_t longest_token) {
  return static_cast<std::size_t>(model.max_model_len) * longest_token * 4;
}

// A text that can not fit whatever its tokens are is refused before the work of finding them.
Status check_text_size(const ModelInfo& model, std::size_t longest_token, std::size_t bytes,
                       const std::string& field) {
  if (bytes <= most_bytes(model, longest_token)) return {};
  return invalid_argument(
      fmt::format("This model's maximum context length is {} tokens. However, your request has {} bytes of "
                  "text, which can not fit. Please reduce the length of the {}.",
                  model.max_model_len, bytes, field),
      field);
}

struct MadePrompt {
  std::vector<TokenId> ids;
  std::string echo_text;
};

// One request's way from text to prompts; runs on the text pool. What a prompt was made of is dropped as soon
// as nothing needs it any more.
class PromptMaker {
 public:
  PromptMaker(const ModelInfo& model, std::size_t longest_token, GenerateRequest* request, bool echo)
      : model_(model), longest_token_(longest_token), request_(*request), echo_(echo) {}

  // Once for each.
  Result<MadePrompt> make(std::size_t index) {
    if (auto* chat = std::get_if<ChatPrompt>(&request_.prompt)) return from_chat(std::exchange(*chat, {}));
    auto& prompts = std::get<std::vector<TextPrompt>>(request_.prompt);
    std::string field(request_.prompt_field);
    if (prompts.size() > 1) field += fmt::format(".{}", index);
    TextPrompt prompt = std::exchange(prompts[index], {});
    if (auto* text = std::get_if<std::string>(&prompt)) return from_text(std::move(*text), field);
    return from_ids(std::move(std::get<std::vector<TokenId>>(prompt)), field);
  }

 private:
  Result<MadePrompt> from_chat(ChatPrompt chat) const {
    PAGODA_TRY(std::string text, render_chat_prompt(model_, chat, unix_now()));
    std::string echo_text;
    if (const Value& last = chat.messages.back();
        echo_ && last.find("role")->as_string() == answer_role(model_, chat))
      echo_text = flat_content(last);
    chat = {};
    PAGODA_TRY(MadePrompt out, from_text(std::move(text), std::string(request_.prompt_field)));
    out.echo_text = std::move(echo_text);
    return out;
  }

  Result<MadePrompt> from_text(std::string text, const std::string& field) const {
    if (model_.tokenizer == nullptr)
      return invalid_argument(field + ": the server runs without a tokenizer; send token ids", field);
    if (request_.truncate_prompt_tokens == 0)
      PAGODA_RETURN_IF_ERROR(check_text_size(model_, longest_token_, text.size(), field));
    else
      truncate_text(&text);
    MadePrompt out;
    model_.tokenizer->encode(text, {.add_special_tokens = request_.add_special_tokens}, &out.ids);
    if (out.ids.empty()) return invalid_argument(field + ": the prompt has no tokens");
    PAGODA_RETURN_IF_ERROR(check_vocabulary(model_, out.ids, field));
    PAGODA_TRY(bool cut, truncate(&out.ids));
    if (echo_) out.echo_text = cut ? decode(out.ids) : std::move(text);
    return out;
  }

  Result<MadePrompt> from_ids(std::vector<TokenId> ids, const std::string& field) const {
    PAGODA_RETURN_IF_ERROR(check_vocabulary(model_, ids, field));
    MadePrompt out;
    out.ids = std::move(ids);
    PAGODA_RETURN_IF_ERROR(truncate(&out.ids).status());
    if (echo_) out.echo_text = decode(out.ids);
    return out;
  }

  // Leaves more than its tokens could need, so that the work of finding them is bounded.
  void truncate_text(std::string* text) const {
    const std::size_t most = most_bytes(model_, longest_token_);
    if (text->size() <= most) return;
    auto continues = [&](std::size_t at) { return (static_cast<unsigned char>((*text)[at]) & 0xc0) == 0x80; };
    std::size_t cut = request_.truncate_right ? most : text->size() - most;
    while (cut > 0 && continues(cut)) --cut;
    if (request_.truncate_right)
      text->resize(cut);
    else
      text->erase(0, cut);
  }

  // Keeps the tail or the head; true if something was cut.
  Result<bool> truncate(std::vector<TokenId>* ids) const {
    int64_t keep = request_.truncate_prompt_tokens;
    if (keep == 0) return false;
    if (keep > model_.max_model_len)
      return invalid_argument(
          fmt::format("truncate_prompt_tokens={} cannot be greater than max_model_len={}. "
                      "Please request a smaller truncation size.",
                      keep, model_.max_model_len),
          "truncate_prompt_tokens");
    // To the context, but for one token of an answer: max_tokens is then fitted into what is left.
    if (keep < 0) keep = std::max(model_.max_model_len - 1, 1);
    if (ids->size() <= static_cast<std::size_t>(keep)) return false;
    if (request_.truncate_right)
      ids->resize(static_cast<std::size_t>(keep));
    else
      ids->erase(ids->begin(), ids->end() - keep);
    return true;
  }

  // An echo shows the prompt as it is, whatever is left out of answers.
  std::string decode(const std::vector<TokenId>& ids) const {
    return model_.tokenizer == nullptr ? std::string() : model_.tokenizer->decode(ids, false);
  }

  const ModelInfo& model_;
  const std::size_t longest_token_;
  GenerateRequest& request_;
  const bool echo_;
};

// The bits are the same for the same salt within one process only. Empty: all zero.
std::array<uint8_t, 16> hash_cache_salt(const std::string& salt) {
  std::array<uint8_t, 16> out{};
  if (salt.empty()) return out;
  const std::array<uint64_t, 2> halves = {keyed_hash(HashPurpose::kCacheSaltLow, salt),
                                          keyed_hash(HashPurpose::kCacheSaltHigh, salt)};
  std::memcpy(out.data(), halves.data(), sizeof halves);
  return out;
}

// Takes room for the tokens of all prompts together, of which each then gets its own.
Status reserve_tokens(std::string_view field, int32_t n, Engine* engine, Engine::QueueTicket* ticket,
                      std::vector<PreparedPrompt>* prompts) {
  auto length = [](const PreparedPrompt& prompt) {
    return static_cast<int64_t>(prompt.request->prompt.size());
  };
  int64_t total = 0;
  for (const PreparedPrompt& prompt : *prompts) total += length(prompt);
  PAGODA_RETURN_IF_ERROR(engine->reserve_tokens(ticket, total, field));
  for (PreparedPrompt& prompt : *prompts) prompt.ticket = ticket->split(n, length(prompt));
  return {};
}

// What the engine is to know of the request, but for the prompt.
std::unique_ptr<Request> make_request(const GenerateRequest& asked, const StreamCore& core, Engine* engine,
                                      const SamplingParams& params) {
  const RequestContext& context = core.context();
  auto request = std::make_unique<Request>();
  request->id = engine->next_request_id();
  request->params = params;
  request->n = core.shape().n;
  request->priority = asked.priority;
  // A user's name can be invented: but for the fair policy's sake only tenants share.
  const bool is_fair = engine->config().scheduler.policy == SchedulingPolicy::kFair;
  const Tenant& tenant = is_fair ? context.fair_tenant : context.tenant;
  request->tenant_key = tenant.key;
  request->tenant_weight = tenant.weight;
  request->cache_salt_hash = hash_cache_salt(asked.cache_salt);
  request->arrival = context.arrival == Time{} ? std::chrono::steady_clock::now() : context.arrival;
  request->deadline = context.deadline;
  request->read_prefix_cache = params.num_prompt_logprobs < 0;
  return request;
}

// All prompts of a request are checked before the first is handed on: an error leaves nothing half done.
Result<std::vector<PreparedPrompt>> prepare(const ModelInfo& model, const StreamCore& core, Engine* engine,
                                            std::size_t longest_token, uint64_t seed,
                                            GenerateRequest* request, Engine::QueueTicket* ticket) {
  const int32_t num_prompts = request->num_prompts();
  PAGODA_TRY(SamplingParams params, resolve_sampling(model, *request, core.shape(), seed));
  PromptMaker maker(model, longest_token, request, core.shape().echo);
  std::vector<PreparedPrompt> prompts;
  const bool is_chat = std::holds_alternative<ChatPrompt>(request->prompt);
  double num_logprobs = 0;
  for (int32_t i = 0; i < num_prompts && !is_work_cancelled(); ++i) {
    PAGODA_TRY(MadePrompt made, maker.make(static_cast<std::size_t>(i)));
    PreparedPrompt& prompt = prompts.emplace_back();
    prompt.echo_text = std::move(made.echo_text);
    prompt.request = make_request(*request, core, engine, params);
    PAGODA_RETURN_IF_ERROR(fit_max_tokens(model, *request, made.ids.size(), &prompt.request->params));
    num_logprobs += least_logprobs(core.shape(), is_chat, prompt.request->params, made.ids.size());
    PAGODA_RETURN_IF_ERROR(check_num_logprobs(num_logprobs, model.answer_logprobs_max));
    made.ids.shrink_to_fit();  // the tokenizer has made room for what is no longer there
    prompt.request->prompt = std::move(made.ids);
  }
  PAGODA_RETURN_IF_ERROR(reserve_tokens(request->prompt_field, core.shape().n, engine, ticket, &prompts));
  return prompts;
}

// Memory is charged no longer for what the prompts were made of.
void release_prompt(const StreamCore& core, GenerateRequest* request) {
  request->prompt = std::vector<TextPrompt>();
  MemoryShare* memory = core.context().memory.get();
  if (memory != nullptr)  // less than before: it is there
    static_cast<void>(memory->hold(request->heap_bytes() + core.shape().heap_bytes()));
}

}  // namespace

OutputStream::OutputStream(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}

// The engine's sinks may hold the core for longer.
OutputStream::~OutputStream() {
  if (core_ == nullptr) return;
  try {
    core_->cancel();
  } catch (const std::exception& error) {
    log_error("A request could not be cancelled: {}", error.what());
  }
}

OutputStream& OutputStream::operator=(OutputStream&& other) noexcept {
  OutputStream before(std::exchange(core_, std::move(other.core_)));
  return *this;
}

bool OutputStream::next(TextDelta* delta) {
  return core_->next(delta);
}
bool OutputStream::done() const {
  return core_->done();
}
bool OutputStream::admitted() const {
  return core_->admitted();
}
void OutputStream::abort() {
  core_->abort();
}
void OutputStream::cancel() {
  core_->cancel();
}

Intake::Intake(std::shared_ptr<const ModelInfo> model, Engine* engine, TaskPool* text_pool)
    : model_(std::move(model)), engine_(engine), text_pool_(text_pool), seeds_(random_64()) {
  longest_token_ = 1;
  if (model_->tokenizer == nullptr) return;
  for (TokenId id = 0; id < model_->tokenizer->vocab_size(); ++id)
    longest_token_ = std::max(longest_token_, model_->tokenizer->token_bytes(id).size());
}

uint64_t Intake::draw_seed() {
  std::lock_guard lock(seed_mutex_);
  return seeds_.next();
}

Status Intake::check_model_name(const std::string& name) const {
  const auto& names = model_->served_names;
  if (name.empty() || model_->accept_any_name || std::find(names.begin(), names.end(), name) != names.end())
    return {};
  return not_found(fmt::format("The model `{}` does not exist. Valid aliases: {}.", excerpt(name, 200),
                               fmt::join(names, ", ")),
                   "model");
}

Result<OutputStream> Intake::admit(GenerateRequest request, std::shared_ptr<const ResponseShape> shape,
                                   RequestContext context, std::function<void()> wake) {
  PAGODA_RETURN_IF_ERROR(check_model_name(request.model));
  const int64_t num_choices = int64_t{shape->n} * request.num_prompts();
  auto core =
      std::make_shared<StreamCore>(model_, engine_, std::move(shape), std::move(context),
                                   request.num_prompts(), request.sampling.max_tokens == 0, std::move(wake));
  const RequestContext& known = core->context();
  auto give_way = [weak = std::weak_ptr(core)](const Status& why) {
    if (auto alive = weak.lock()) alive->fail(why);
  };
  PAGODA_TRY(Engine::QueueTicket reserved, engine_->reserve(num_choices, known.tenant, std::move(give_way)));
  // A task can be copied, what it holds is shared.
  auto ticket = std::make_shared<Engine::QueueTicket>(std::move(reserved));
  auto asked = std::make_shared<GenerateRequest>(std::move(request));
  auto task = [model = model_, core, ticket, asked, engine = engine_, longest = longest_token_,
               seed = draw_seed()] {
    const CancelScope scope(core->unwanted());
    if (is_work_cancelled()) return void(*ticket = {});
    try {
      auto prompts = prepare(*model, *core, engine, longest, seed, asked.get(), ticket.get());
      *ticket = {};
      release_prompt(*core, asked.get());
      if (is_work_cancelled()) return;
      if (!prompts.ok()) return core->fail(prompts.status());
      core->start(std::move(*prompts));
    } catch (...) {  // std::bad_alloc, for one
      *ticket = {};
      throw;
    }
  };
  auto failed = [core](const Status& status) { core->fail(status); };
  // Once it is submitted nothing may throw: the caller would not know that it is in.
  OutputStream stream(core);
  if (known.deadline != Time::max()) deadlines_.add(known.deadline, core);
  PAGODA_RETURN_IF_ERROR(text_pool_->submit(std::move(task), std::move(failed), known.tenant.key));
  return stream;
}

Status Intake::work(std::shared_ptr<TextJob> job) {
  PAGODA_RETURN_IF_ERROR(engine_->check_deadline(job->deadline()));
  PAGODA_TRY(Engine::QueueTicket ticket,
             engine_->reserve(1, job->tenant(), [weak = std::weak_ptr(job)](const Status& why) {
               if (auto alive = weak.lock()) alive->give_up(why);
             }));
  auto task = [job, place = std::make_shared<Engine::QueueTicket>(std::move(ticket))] {
    const CancelScope scope(job->unwanted());
    if (!is_work_cancelled()) job->run();
    *place = {};
  };
  auto failed = [job](const Status& status) { job->give_up(status); };
  if (job->deadline() != Time::max()) deadlines_.add(job->deadline(), job);
  return text_pool_->submit(std::move(task), std::move(failed), job->tenant().key);
}

Result<std::string> Intake::render_chat(const ChatPrompt& chat) const {
  return render_chat_prompt(*model_, chat, unix_now());
}

Result<std::vector<TokenId>> Intake::tokenize(const GenerateRequest& request) const {
  std::string rendered;
  const std::string* text = &rendered;
  const std::string field(request.prompt_field);
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    PAGODA_TRY(rendered, render_chat(*chat));
  } else {
    const TextPrompt& prompt = std::get<std::vector<TextPrompt>>(request.prompt)[0];
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
      PAGODA_RETURN_IF_ERROR(check_vocabulary(*model_, *ids, field));
      return *ids;
    }
    text = &std::get<std::string>(prompt);
  }
  if (model_->tokenizer == nullptr)
    return invalid_argument(field + ": the server runs without a tokenizer", field);
  PAGODA_RETURN_IF_ERROR(check_text_size(*model_, longest_token_, text->size(), field));
  std::vector<TokenId> ids;
  model_->tokenizer->encode(*text, {.add_special_tokens = request.add_special_tokens}, &ids);
  return ids;
}

Result<std::string> Intake::detokenize(const std::vector<TokenId>& ids) const {
  if (model_->tokenizer == nullptr)
    return invalid_argument("tokens: the server runs without a tokenizer", "tokens");
  if (Status known = check_vocabulary(*model_, ids, "tokens"); !known.ok())
    return invalid_argument(known.message(), "tokens");
  std::size_t bytes = 0;
  for (TokenId id : ids) bytes += model_->tokenizer->token_bytes(id).size();
  if (bytes > kDetokenizedBytesMax)
    return invalid_argument(fmt::format("tokens: their text has {} bytes, the server makes at most {}", bytes,
                                        kDetokenizedBytesMax),
                            "tokens");
  return model_->tokenizer->decode(ids, false);
}

}  // namespace pagoda
