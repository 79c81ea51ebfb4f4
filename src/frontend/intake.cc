#include "frontend/intake.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <random>

#include "base/cancel.h"
#include "base/excerpt.h"
#include "base/log.h"
#include "frontend/chat_prompt.h"
#include "frontend/salt_hash.h"
#include "frontend/sampling.h"
#include "frontend/stream_core.h"

namespace pagoda {
namespace {

// As large as a body may be.
constexpr std::size_t kDetokenizedBytesMax = std::size_t{64} << 20;

// Dropping the handle cancels, though the engine's sinks still hold the core.
class StreamHandle : public OutputStream {
 public:
  explicit StreamHandle(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}
  ~StreamHandle() override {
    try {
      core_->cancel();
    } catch (const std::exception& error) {
      log_error("A request could not be cancelled: {}", error.what());
    }
  }
  bool next(TextDelta* delta) override { return core_->next(delta); }
  bool done() const override { return core_->done(); }
  bool admitted() const override { return core_->admitted(); }
  int32_t num_prompts() const override { return core_->num_prompts(); }
  void cancel() override { core_->cancel(); }
  void abort() override { core_->abort(); }

 private:
  const std::shared_ptr<StreamCore> core_;
};

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
Status judge_bytes(const ModelInfo& model, std::size_t longest_token, std::size_t bytes,
                   const std::string& field) {
  if (bytes <= most_bytes(model, longest_token)) return {};
  return invalid_argument(
      fmt::format("This model's maximum context length is {} tokens. However, your request has {} bytes of "
                  "text, which can not fit. Please reduce the length of the {}.",
                  model.max_model_len, bytes, field),
      field);
}

// One request's way from text to prompts; runs on the text pool.
class PromptMaker {
 public:
  PromptMaker(const ModelInfo& model, const GenerateRequest& request, std::size_t longest_token)
      : model_(model), request_(request), longest_token_(longest_token) {}

  struct Made {
    std::vector<TokenId> ids;
    std::string echo_text;
  };

  Result<Made> make(std::size_t index) const {
    if (const auto* chat = std::get_if<ChatPrompt>(&request_.prompt)) return from_chat(*chat);
    const auto& prompts = std::get<std::vector<TextPrompt>>(request_.prompt);
    std::string field = prompts.size() > 1 ? fmt::format("prompt.{}", index) : "prompt";
    if (const auto* text = std::get_if<std::string>(&prompts[index])) return from_text(*text, field);
    return from_ids(std::get<std::vector<TokenId>>(prompts[index]), field);
  }

 private:
  Result<Made> from_chat(const ChatPrompt& chat) const {
    PAGODA_TRY(std::string text, render_chat_prompt(model_, chat, unix_now()));
    PAGODA_TRY(Made out, from_text(text, "messages"));
    const Value& last = chat.messages.back();
    bool same_role = last.find("role")->as_string() == answer_role(model_, chat);
    out.echo_text = request_.echo && same_role ? flat_content(last) : std::string();
    return out;
  }

  Result<Made> from_text(std::string text, const std::string& field) const {
    if (model_.tokenizer == nullptr)
      return invalid_argument(field + ": the server runs without a tokenizer; send token ids", field);
    if (request_.truncate_prompt_tokens == 0)
      PAGODA_RETURN_IF_ERROR(judge_bytes(model_, longest_token_, text.size(), field));
    else
      truncate_text(&text);
    Made out;
    model_.tokenizer->encode(text, {.add_special_tokens = request_.add_special_tokens}, &out.ids);
    if (out.ids.empty()) return invalid_argument(field + ": the prompt has no tokens");
    PAGODA_RETURN_IF_ERROR(check_vocabulary(model_, out.ids, field));
    PAGODA_TRY(bool cut, truncate(&out.ids));
    if (request_.echo) out.echo_text = cut ? decode(out.ids) : text;
    return out;
  }

  Result<Made> from_ids(const std::vector<TokenId>& ids, const std::string& field) const {
    PAGODA_RETURN_IF_ERROR(check_vocabulary(model_, ids, field));
    Made out;
    out.ids = ids;
    PAGODA_RETURN_IF_ERROR(truncate(&out.ids).status());
    if (request_.echo) out.echo_text = decode(out.ids);
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
  const GenerateRequest& request_;
  std::size_t longest_token_;
};

// Takes room for the tokens of all prompts together, of which each then gets its own.
Status reserve_tokens(const GenerateRequest& request, Engine* engine, Engine::Slot* slot,
                      std::vector<PreparedPrompt>* prompts) {
  auto length = [](const PreparedPrompt& prompt) {
    return static_cast<int64_t>(prompt.request->prompt.size());
  };
  int64_t total = 0;
  for (const PreparedPrompt& prompt : *prompts) total += length(prompt);
  PAGODA_RETURN_IF_ERROR(engine->reserve_tokens(slot, total, request.is_chat() ? "messages" : "prompt"));
  for (PreparedPrompt& prompt : *prompts) prompt.slot = slot->split(request.n, length(prompt));
  return {};
}

// All prompts of a request are judged before the first is handed on: an error leaves nothing half done.
Result<std::vector<PreparedPrompt>> prepare(const ModelInfo& model, const StreamCore& core, Engine* engine,
                                            std::size_t longest_token, uint64_t seed, Engine::Slot* slot) {
  const GenerateRequest& request = core.request();
  PAGODA_TRY(SamplingParams params, resolve_sampling(model, request, seed));
  const auto salt_hash = hash_cache_salt(request.cache_salt);
  PromptMaker maker(model, request, longest_token);
  std::vector<PreparedPrompt> prompts;
  for (std::size_t i = 0; i < static_cast<std::size_t>(core.num_prompts()) && !is_work_cancelled(); ++i) {
    PAGODA_TRY(PromptMaker::Made made, maker.make(i));
    PreparedPrompt prompt;
    prompt.echo_text = std::move(made.echo_text);
    prompt.request = std::make_unique<Request>();
    Request& out = *prompt.request;
    out.id = engine->next_request_id();
    out.params = params;
    PAGODA_RETURN_IF_ERROR(judge_length(model, request, made.ids.size(), &out.params));
    made.ids.shrink_to_fit();  // the tokenizer has made room for what is no longer there
    out.prompt = std::move(made.ids);
    out.n = request.n;
    out.priority = request.priority;
    // A user's name can be invented: but for the fair policy's sake only tenants share.
    const bool by_client = engine->config().scheduler.policy == SchedulingPolicy::kFair;
    out.client_key = by_client ? request.client_key : request.tenant.key;
    out.weight = by_client ? request.weight : request.tenant.weight;
    out.cache_salt_hash = salt_hash;
    out.arrival = request.arrival == Time{} ? std::chrono::steady_clock::now() : request.arrival;
    out.deadline = request.deadline;
    out.read_prefix_cache = params.num_prompt_logprobs < 0;
    prompts.push_back(std::move(prompt));
  }
  PAGODA_RETURN_IF_ERROR(reserve_tokens(request, engine, slot, &prompts));
  return prompts;
}

}  // namespace

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

Result<std::shared_ptr<OutputStream>> Intake::admit(GenerateRequest request, std::function<void()> wake) {
  PAGODA_RETURN_IF_ERROR(check_model_name(request.model));
  auto core = std::make_shared<StreamCore>(model_, engine_, std::move(request), std::move(wake));
  const GenerateRequest& asked = core->request();
  PAGODA_TRY(Engine::Slot whole, engine_->reserve(int64_t{asked.n} * core->num_prompts(), asked.tenant,
                                                  [weak = std::weak_ptr(core)](const Status& why) {
                                                    if (auto alive = weak.lock()) alive->fail(why);
                                                  }));
  auto slot = std::make_shared<Engine::Slot>(std::move(whole));
  auto task = [model = model_, core, slot, engine = engine_, longest = longest_token_, seed = draw_seed()] {
    const CancelScope scope(core->unwanted());
    if (is_work_cancelled()) return void(*slot = {});
    try {
      auto prompts = prepare(*model, *core, engine, longest, seed, slot.get());
      *slot = {};
      if (!prompts.ok()) core->drop_prompt();
      if (is_work_cancelled()) return;
      if (!prompts.ok()) return core->fail(prompts.status());
      core->start(std::move(*prompts));
    } catch (...) {  // std::bad_alloc, for one
      *slot = {};
      throw;
    }
  };
  auto failed = [core](const Status& status) { core->fail(status); };
  // Once it is submitted nothing may throw: the caller would not know that it is in.
  auto stream = std::make_shared<StreamHandle>(core);
  if (asked.deadline != Time::max()) deadlines_.add(asked.deadline, core);
  PAGODA_RETURN_IF_ERROR(text_pool_->submit(std::move(task), std::move(failed), asked.tenant.key));
  return std::shared_ptr<OutputStream>(std::move(stream));
}

Status Intake::work(std::shared_ptr<TextJob> job) {
  PAGODA_RETURN_IF_ERROR(engine_->check_deadline(job->deadline()));
  PAGODA_TRY(Engine::Slot slot,
             engine_->reserve(1, job->tenant(), [weak = std::weak_ptr(job)](const Status& why) {
               if (auto alive = weak.lock()) alive->give_up(why);
             }));
  auto task = [job, place = std::make_shared<Engine::Slot>(std::move(slot))] {
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
  const bool chat = request.is_chat();
  std::string rendered;
  const std::string* text = &rendered;
  if (chat) {
    PAGODA_TRY(rendered, render_chat(std::get<ChatPrompt>(request.prompt)));
  } else {
    const TextPrompt& prompt = std::get<std::vector<TextPrompt>>(request.prompt)[0];
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
      PAGODA_RETURN_IF_ERROR(check_vocabulary(*model_, *ids, "prompt"));
      return *ids;
    }
    text = &std::get<std::string>(prompt);
  }
  const char* field = chat ? "messages" : "prompt";
  if (model_->tokenizer == nullptr)
    return invalid_argument(std::string(field) + ": the server runs without a tokenizer", field);
  PAGODA_RETURN_IF_ERROR(judge_bytes(*model_, longest_token_, text->size(), field));
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
