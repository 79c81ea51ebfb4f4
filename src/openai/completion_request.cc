#include <fmt/format.h>

#include "openai/common_fields.h"

namespace pagoda {
namespace {

// [1, 2, 3]; `where` is the list's own location.
Result<std::vector<TokenId>> judge_ids(const Array& items, const std::string& where) {
  if (items.empty()) return field_error(where, "List of token ids should not be empty");
  std::vector<TokenId> ids;
  ids.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_int() && items[i].as_int() >= 0 &&
        items[i].as_int() <= kInt32Max) {  // without building a location
      ids.push_back(static_cast<TokenId>(items[i].as_int()));
      continue;
    }
    PAGODA_TRY(int64_t id, judge_integer(items[i], 0, kInt32Max, join_location(where, i)));
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

Result<std::vector<TextPrompt>> judge_prompt(Value* prompt, const RequestLimits& limits) {
  std::vector<TextPrompt> prompts;
  if (prompt->is_string()) {
    prompts.emplace_back(std::move(prompt->as_string()));
    return prompts;
  }
  if (!prompt->is_array())
    return field_error("prompt",
                       "Input should be a string, a list of strings, a list of token ids or a list of such "
                       "lists, " +
                           describe_value(*prompt));
  Array& items = prompt->as_array();
  if (items.empty()) return field_error("prompt", "List should have at least 1 item");
  if (items[0].is_number()) {
    PAGODA_TRY(std::vector<TokenId> ids, judge_ids(items, "prompt"));
    prompts.emplace_back(std::move(ids));
    return prompts;
  }
  if (items.size() > limits.prompts_max)
    return field_error("prompt", fmt::format("List should have at most {} prompts, got {}",
                                             limits.prompts_max, items.size()));
  bool strings = items[0].is_string();
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::string where = join_location("prompt", i);
    if (strings && items[i].is_string()) {
      prompts.emplace_back(std::move(items[i].as_string()));
    } else if (!strings && items[i].is_array()) {
      PAGODA_TRY(std::vector<TokenId> ids, judge_ids(items[i].as_array(), where));
      prompts.emplace_back(std::move(ids));
    } else if (strings) {
      return field_error(where,
                         "Input should be a string like the first prompt, " + describe_value(items[i]));
    } else {
      return field_error(where,
                         "Input should be a string or a list of token ids, " + describe_value(items[i]));
    }
  }
  return prompts;
}

void read_prompt(Fields* fields, const RequestLimits& limits, GenerateRequest* request) {
  fields->refuse("prompt_embeds", "Prompt embeddings are not supported");
  Value* prompt = fields->get("prompt");
  if (prompt == nullptr) return fields->fail("prompt", "Field required");
  Result<std::vector<TextPrompt>> prompts = judge_prompt(prompt, limits);
  if (!prompts.ok()) return fields->fail(prompts.status());
  request->prompt = std::move(*prompts);
}

void read_logprobs(Fields* fields, GenerateRequest* request) {
  std::optional<int64_t> top;
  fields->read("logprobs", &top, -1, kInt32Max - 1);
  if (top) request->num_logprobs = *top < 0 ? kAllLogprobs : static_cast<int32_t>(*top);
}

void read_best_of(Fields* fields, int32_t n) {
  std::optional<int64_t> best_of;
  fields->read("best_of", &best_of, 1, kInt32Max);
  if (best_of && *best_of != n) fields->fail("best_of", "It is not supported: all n choices are returned");
}

}  // namespace

Result<GenerateRequest> parse_completion_request(std::string_view body, const RequestLimits& limits) {
  PAGODA_TRY(Value root, parse_body(body));
  Fields fields(&root.as_object());
  GenerateRequest request;
  read_prompt(&fields, limits, &request);
  read_common_fields(&fields, limits, &request);
  fields.read("max_tokens", &request.sampling.max_tokens, 0, kInt64Max);
  if (request.sampling.max_tokens == 0 && !request.echo)
    fields.fail("max_tokens", "max_tokens must be at least 1, got 0 (0 is for echo alone)");
  read_logprobs(&fields, &request);
  const Value* suffix = fields.get("suffix");
  if (suffix != nullptr && !(*suffix == Value(""))) fields.fail("suffix", "suffix is not supported");
  read_best_of(&fields, request.n);
  PAGODA_RETURN_IF_ERROR(fields.finish());
  return request;
}

}  // namespace pagoda
