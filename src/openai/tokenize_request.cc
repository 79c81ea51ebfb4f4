#include "openai/request_fields.h"

namespace pagoda {

Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const RequestLimits& limits,
                                               MemoryShare* memory) {
  JsonMeter meter{.memory = memory};
  PAGODA_TRY(Value root, parse_body(body, &meter));
  Fields fields(&root.as_object());
  return read_tokenize_request(&fields, limits, &meter);
}

Result<TokenizeRequest> read_tokenize_request(Fields* fields, const RequestLimits& limits, JsonMeter* meter) {
  TokenizeRequest out;
  GenerateRequest& request = out.request;
  fields->never_null({"add_special_tokens"});
  fields->read("model", &request.model);
  fields->read("return_token_strs", &out.return_token_strs);
  if (fields->has("messages")) {
    ChatPrompt chat;
    read_messages(fields, limits, meter, &chat);
    refuse_media_settings(fields);
    read_tool_list(fields, &chat);
    read_template_fields(fields, &chat);
    request.add_special_tokens = false;
    fields->read("add_special_tokens", &request.add_special_tokens);
    request.prompt = std::move(chat);
    request.prompt_field = "messages";
  } else {
    std::string prompt;
    if (!fields->given("prompt")) fields->fail("prompt", "Field required (or messages)");
    fields->never_null({"prompt"});
    fields->read("prompt", &prompt);
    fields->read("add_special_tokens", &request.add_special_tokens);
    std::vector<TextPrompt> one;
    one.emplace_back(std::move(prompt));  // an initializer list would copy it
    request.prompt = std::move(one);
  }
  PAGODA_RETURN_IF_ERROR(fields->finish());
  return out;
}

Result<DetokenizeRequest> parse_detokenize_request(std::string_view body, MemoryShare* memory) {
  JsonMeter meter{.memory = memory};
  PAGODA_TRY(Value root, parse_body(body, &meter));
  Fields fields(&root.as_object());
  DetokenizeRequest request;
  fields.read("model", &request.model);
  if (!fields.given("tokens")) fields.fail("tokens", "Field required");
  fields.never_null({"tokens"});
  fields.read("tokens", &request.tokens, std::size_t{1} << 24, TokenIds::kFromZero);
  PAGODA_RETURN_IF_ERROR(fields.finish());
  return request;
}

Result<std::optional<std::vector<std::string>>> parse_abort_request(std::string_view body) {
  constexpr std::size_t kIdsMax = 65536;
  JsonMeter meter{};
  Result<Value> root = parse_body(body, &meter);
  if (!root.ok()) return invalid_argument(root.status().message());
  Fields fields(&root->as_object());
  std::optional<std::vector<std::string>> ids;
  if (is_truthy(fields.get("request_ids"))) fields.read("request_ids", &ids.emplace(), kIdsMax);
  PAGODA_RETURN_IF_ERROR(fields.finish());
  return ids;
}

}  // namespace pagoda
