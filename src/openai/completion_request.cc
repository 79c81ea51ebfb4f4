#include <fmt/format.h>

#include <algorithm>

#include "openai/request_fields.h"

namespace pagoda {
namespace {

constexpr int64_t kDefaultMaxTokens = 16;

// [1, 2, 3]; `where` is the list's own location.
Result<std::vector<TokenId>> parse_ids(const Array& items, const std::string& where) {
  if (items.empty()) return invalid_argument(where + ": a prompt has at least one token");
  std::vector<TokenId> ids;
  ids.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_int() && items[i].as_int() >= 0 && items[i].as_int() <= kInt32Max) {
      ids.push_back(static_cast<TokenId>(items[i].as_int()));  // without building a location
      continue;
    }
    PAGODA_TRY(TokenId id, parse_token_id(items[i], join_location(where, i), "", TokenIds::kFromZero));
    ids.push_back(id);
  }
  return ids;
}

Result<std::vector<TextPrompt>> parse_prompt_list(Array* items, std::size_t count_max) {
  if (items->empty()) return invalid_argument("You must pass at least one prompt");
  const Value& first = items->front();
  std::vector<TextPrompt> prompts;
  if (plain_number(&first)) {
    PAGODA_TRY(std::vector<TokenId> ids, parse_ids(*items, "prompt"));
    prompts.emplace_back(std::move(ids));
    return prompts;
  }
  if (items->size() > count_max)
    return invalid_argument(fmt::format("prompt list length {} exceeds the maximum allowed count of {}.",
                                        items->size(), count_max),
                            "prompt");
  const bool strings = first.is_string();
  for (std::size_t i = 0; i < items->size(); ++i) {
    Value& item = (*items)[i];
    const std::string where = join_location("prompt", i);
    if (strings && item.is_string()) {
      prompts.emplace_back(std::move(item.as_string()));
      continue;
    }
    Result<std::vector<TokenId>> ids =
        !strings && item.is_array()
            ? parse_ids(item.as_array(), where)
            : type_error(where,
                         strings ? "a string like the first prompt" : "a string or a list of token ids",
                         item);
    // vLLM names the first item of what is no list of token ids, whichever is at fault; the message is exact.
    if (!ids.ok() && !ids.status().param().empty())
      return invalid_argument(ids.status().message(), "body.prompt.0");
    if (!ids.ok()) return ids.status();
    prompts.emplace_back(std::move(*ids));
  }
  return prompts;
}

// A list of none is none.
void refuse_embeds(Fields* fields) {
  const Value* embeds = fields->get("prompt_embeds");
  if (embeds == nullptr) return;
  const Array none, &items = embeds->is_array() ? embeds->as_array() : none;
  const bool all_bytes =
      std::all_of(items.begin(), items.end(), [](const Value& v) { return v.is_string(); });
  if (!all_bytes || !(embeds->is_string() || embeds->is_array()))
    return fields->fail(type_error("prompt_embeds", "valid bytes or a list of such", *embeds));
  if (embeds->is_string() || !items.empty())
    fields->fail(invalid_argument("prompt_embeds: Prompt embeddings are not supported", "prompt_embeds"));
}

void read_prompt(Fields* fields, const RequestLimits& limits, ParsedRequest* request) {
  refuse_embeds(fields);
  Value* prompt = fields->get("prompt");
  if (prompt == nullptr) return;
  if (prompt->is_string()) {
    std::vector<TextPrompt> one;
    one.emplace_back(std::move(prompt->as_string()));  // an initializer list would copy it
    request->generate.prompt = std::move(one);
  } else if (prompt->is_array()) {
    Result<std::vector<TextPrompt>> prompts = parse_prompt_list(&prompt->as_array(), limits.prompts_max);
    if (!prompts.ok()) return fields->fail(prompts.status());
    request->generate.prompt = std::move(*prompts);
  } else {
    fields->fail(type_error(
        "prompt", "a string, a list of strings, a list of token ids or a list of such lists", *prompt));
  }
}

void read_suffix(Fields* fields) {
  std::string suffix;
  fields->read("suffix", &suffix);
  if (fields->has("suffix"))
    fields->fail(invalid_argument(
        "suffix is only supported for models that fill in the middle, which none here does", "suffix"));
}

}  // namespace

Result<ParsedRequest> parse_completion_request(std::string_view body, const RequestLimits& limits,
                                               MemoryShare* memory) {
  JsonMeter meter{.memory = memory};
  PAGODA_TRY(Value root, parse_body(body, &meter));
  Fields fields(&root.as_object());
  return read_completion_request(&fields, limits);
}

Result<ParsedRequest> read_completion_request(Fields* fields, const RequestLimits& limits) {
  check_completion_rules(fields);
  fields->never_null({"n"});
  ParsedRequest request;
  request.generate.prompt = std::vector<TextPrompt>();
  read_prompt(fields, limits, &request);
  read_common_fields(fields, limits, &request);
  fields->read("max_tokens", &request.generate.sampling.max_tokens);
  request.generate.sampling.default_max_tokens = kDefaultMaxTokens;
  fields->read("logprobs", &request.shape.num_logprobs);
  // Under echo the prompt's tokens are part of the answer.
  if (request.shape.echo && !request.shape.num_prompt_logprobs)
    request.shape.num_prompt_logprobs = request.shape.num_logprobs;
  read_suffix(fields);
  refuse_best_of(fields, request.shape.n);
  // An echo alone may be asked for.
  fields->fail(check_ranges(request, limits.n_max, request.shape.echo ? 0 : 1));
  PAGODA_RETURN_IF_ERROR(fields->finish());
  return request;
}

}  // namespace pagoda
