#include "frontend/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace pagoda {
namespace {

constexpr double kGreedyBelow = 1e-5;
// Beyond these a float overflows or vanishes; the distribution is flat (or decided) long before.
constexpr double kLargest = 1e10, kSmallest = 1e-10;

double default_number(const ModelInfo& model, const char* name, double otherwise) {
  const Value* value = model.default_sampling.find(name);
  return value != nullptr && value->is_number() ? value->as_double() : otherwise;
}

Status check_ids(const ModelInfo& model, const std::vector<TokenId>& ids, const char* field) {
  for (TokenId id : ids)
    if (id >= model.vocab_size)
      return invalid_argument(
          fmt::format("{}: token id {} is out of vocabulary (0 to {})", field, id, model.vocab_size - 1),
          field);
  return {};
}

Result<int32_t> parse_logprobs(const ModelInfo& model, std::optional<int64_t> wanted, const char* kind,
                               const char* field) {
  if (!wanted) return -1;
  const bool all = *wanted == kAllLogprobs;
  const int32_t most = model.max_logprobs < 0 ? model.vocab_size : model.max_logprobs;
  if (all ? most >= model.vocab_size : *wanted <= most)
    return all ? model.vocab_size : static_cast<int32_t>(std::min<int64_t>(*wanted, model.vocab_size));
  const std::string asked = all ? "the whole vocabulary" : std::to_string(*wanted);
  return invalid_argument(
      fmt::format("{}: Requested {} logprobs of {}, which is greater than max allowed: {}", field, kind,
                  asked, most),
      field);
}

// A word can stand at the beginning of a text or after a space; where those are different tokens, of whatever
// number, both are bad.
Status tokenize_bad_words(const ModelInfo& model, const std::vector<std::string>& words,
                          SamplingParams* params) {
  if (words.empty()) return {};
  std::vector<std::vector<TokenId>> phrases;
  if (model.tokenizer == nullptr)
    return invalid_argument("bad_words: the server runs without a tokenizer", "bad_words");
  for (const std::string& word : words) {
    std::size_t begin = word.find_first_not_of(" \t\n\v\f\r");
    std::string bare = begin == std::string::npos ? word : word.substr(begin);
    std::vector<TokenId> plain, spaced;
    model.tokenizer->encode(bare, {}, &plain);
    model.tokenizer->encode(" " + bare, {}, &spaced);
    if (plain.empty()) return invalid_argument("bad_words: a word has no tokens", "bad_words");
    PAGODA_RETURN_IF_ERROR(check_ids(model, plain, "bad_words"));
    PAGODA_RETURN_IF_ERROR(check_ids(model, spaced, "bad_words"));
    const bool differs = spaced != plain && !spaced.empty();
    phrases.push_back(std::move(plain));
    if (differs) phrases.push_back(std::move(spaced));
  }
  params->bad_words = std::move(phrases);
  return {};
}

void resolve_numbers(const ModelInfo& model, const SamplingFields& fields, SamplingParams* params) {
  auto pick = [&](const std::optional<double>& given, const char* name, double otherwise) {
    return given ? *given : name == nullptr ? otherwise : default_number(model, name, otherwise);
  };
  params->temperature = static_cast<float>(std::min(pick(fields.temperature, "temperature", 1), kLargest));
  double top_p = std::clamp(pick(fields.top_p, "top_p", 1), kSmallest, 1.0);
  params->top_p = static_cast<float>(top_p);
  params->min_p = static_cast<float>(std::clamp(pick(fields.min_p, "min_p", 0), 0.0, 1.0));
  double repetition =
      std::clamp(pick(fields.repetition_penalty, "repetition_penalty", 1), kSmallest, kLargest);
  params->repetition_penalty = static_cast<float>(repetition);
  params->frequency_penalty = static_cast<float>(pick(fields.frequency_penalty, nullptr, 0));
  params->presence_penalty = static_cast<float>(pick(fields.presence_penalty, nullptr, 0));
  int64_t top_k = fields.top_k ? *fields.top_k : static_cast<int64_t>(default_number(model, "top_k", 0));
  params->top_k = top_k <= 0 ? 0 : static_cast<int32_t>(std::min<int64_t>(top_k, model.vocab_size));
}

// Of the allowed tokens one must be left: where filters forbid them all, the first step could sample nothing.
Status check_allowed(const SamplingParams& params, bool has_min_tokens) {
  if (params.allowed_token_ids.empty()) return {};
  std::vector<TokenId> forbidden;
  if (has_min_tokens) {
    forbidden.assign(params.stop_token_ids.begin(), params.stop_token_ids.end());
    forbidden.insert(forbidden.end(), params.eos_token_ids.begin(), params.eos_token_ids.end());
  }
  for (const std::vector<TokenId>& phrase : params.bad_words)
    if (phrase.size() == 1) forbidden.push_back(phrase[0]);
  std::sort(forbidden.begin(), forbidden.end());
  bool any_left =
      std::any_of(params.allowed_token_ids.begin(), params.allowed_token_ids.end(),
                  [&](TokenId id) { return !std::binary_search(forbidden.begin(), forbidden.end(), id); });
  if (any_left) return {};
  return invalid_argument(
      "allowed_token_ids: no token could be generated: bad_words or min_tokens forbid all of them",
      "allowed_token_ids");
}

Status too_long(const ModelInfo& model, const GenerateRequest& request, std::size_t prompt) {
  return invalid_argument(
      fmt::format("This model's maximum context length is {} tokens. However, your request has {} "
                  "input tokens, which leaves no room for an answer. Please reduce the length of "
                  "the {}.",
                  model.max_model_len, prompt, request.prompt_field),
      prompt > static_cast<std::size_t>(model.max_model_len) ? "input_tokens" : "");
}

// More than any prompt leaves room for. Less is fitted into what there is, see fit_max_tokens.
Status check_max_tokens(const ModelInfo& model, const SamplingFields& fields) {
  if (!fields.max_tokens || *fields.max_tokens <= model.max_model_len) return {};
  const char* field = fields.is_max_completion_tokens ? "max_completion_tokens" : "max_tokens";
  return invalid_argument(fmt::format("{}={} cannot be greater than max_model_len={}. Please request fewer "
                                      "output tokens.",
                                      field, *fields.max_tokens, model.max_model_len),
                          field);
}

}  // namespace

Result<SamplingParams> resolve_sampling(const ModelInfo& model, const GenerateRequest& request,
                                        const ResponseShape& shape, uint64_t random_seed) {
  const SamplingFields& fields = request.sampling;
  SamplingParams params;
  resolve_numbers(model, fields, &params);
  PAGODA_RETURN_IF_ERROR(check_max_tokens(model, fields));
  if (params.temperature < kGreedyBelow && shape.n > 1)
    return invalid_argument(fmt::format("n must be 1 when using greedy sampling, got {}.", shape.n));
  for (const auto& [id, bias] : fields.logit_bias)
    PAGODA_RETURN_IF_ERROR(check_ids(model, {id}, "logit_bias"));
  PAGODA_RETURN_IF_ERROR(check_ids(model, fields.stop_token_ids, "stop_token_ids"));
  PAGODA_RETURN_IF_ERROR(check_ids(model, fields.allowed_token_ids, "allowed_token_ids"));
  PAGODA_TRY(params.num_logprobs, parse_logprobs(model, shape.num_logprobs, "sample", "logprobs"));
  PAGODA_TRY(params.num_prompt_logprobs,
             parse_logprobs(model, shape.num_prompt_logprobs, "prompt", "prompt_logprobs"));
  PAGODA_RETURN_IF_ERROR(tokenize_bad_words(model, fields.bad_words, &params));
  if (!shape.stop.empty() && model.tokenizer == nullptr)
    return invalid_argument("stop: the server runs without a tokenizer; use stop_token_ids", "stop");
  // -1 asks for a random one.
  params.seed = fields.seed.value_or(-1) != -1 ? static_cast<uint64_t>(*fields.seed) : random_seed;
  params.ignore_eos = fields.ignore_eos;
  params.logit_bias = fields.logit_bias;
  params.stop_token_ids = fields.stop_token_ids;
  params.allowed_token_ids = fields.allowed_token_ids;
  params.eos_token_ids = model.eos_token_ids;
  PAGODA_RETURN_IF_ERROR(check_allowed(params, fields.min_tokens.value_or(0) > 0));
  return params;
}

Status fit_max_tokens(const ModelInfo& model, const GenerateRequest& request, std::size_t num_prompt_tokens,
                      SamplingParams* params) {
  auto context = static_cast<std::size_t>(model.max_model_len);
  if (num_prompt_tokens >= context) return too_long(model, request, num_prompt_tokens);
  if (request.routed_experts_prompt_start > static_cast<int64_t>(num_prompt_tokens))
    return invalid_argument(fmt::format("routed_experts_prompt_start must be between 0 and the prompt length "
                                        "({}), inclusive, got {}.",
                                        num_prompt_tokens, request.routed_experts_prompt_start),
                            "routed_experts_prompt_start");
  const auto room = static_cast<int64_t>(context - num_prompt_tokens);
  const SamplingFields& fields = request.sampling;
  // The operator's limit holds for every request; the model's own is a default.
  const auto limit = static_cast<int64_t>(default_number(model, "max_new_tokens", 0));
  const int64_t otherwise = fields.default_max_tokens.value_or(limit > 0 ? limit : room);
  int64_t max_tokens = std::min(fields.max_tokens.value_or(otherwise), room);
  if (limit > 0 && model.max_new_tokens_is_limit) max_tokens = std::min(max_tokens, limit);
  max_tokens = std::max<int64_t>(max_tokens, 1);
  int64_t min_tokens = fields.min_tokens.value_or(0);
  if (min_tokens > max_tokens)
    return invalid_argument(fmt::format("min_tokens must be less than or equal to max_tokens={}, got {}.",
                                        max_tokens, min_tokens));
  params->max_tokens = static_cast<int32_t>(max_tokens);
  params->min_tokens = static_cast<int32_t>(min_tokens);
  return {};
}

}  // namespace pagoda
