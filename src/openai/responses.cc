#include "openai/responses.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "base/json.h"

namespace pagoda {
namespace {

// OpenAI once listed permissions by organization; some clients still read them.
Value permission(const ModelCard& card) {
  Object out;
  out.append("id", "modelperm-" + card.id);
  out.append("object", "model_permission");
  out.append("created", card.created);
  for (const char* denied :
       {"allow_create_engine", "allow_search_indices", "allow_fine_tuning", "is_blocking"})
    out.append(denied, false);
  for (const char* allowed : {"allow_sampling", "allow_logprobs", "allow_view"}) out.append(allowed, true);
  out.append("organization", "*");
  out.append("group", Value());
  return Value(std::move(out));
}

Value model_value(const ModelCard& card) {
  Object out;
  out.append("id", card.id);
  out.append("object", "model");
  out.append("created", card.created);
  out.append("owned_by", "vllm");  // what clients that look for it know
  out.append("root", card.root);
  out.append("parent", Value());
  out.append("max_model_len", card.max_model_len);
  out.append("permission", Array{permission(card)});
  return Value(std::move(out));
}

}  // namespace

std::string write_detail(const std::string& detail) {
  Object out;
  out.append("detail", detail);
  return write_json(Value(std::move(out)));
}

std::string write_models(const std::vector<ModelCard>& cards) {
  Array data;
  for (const ModelCard& card : cards) data.push_back(model_value(card));
  Object out;
  out.append("object", "list");
  out.append("data", std::move(data));
  return write_json(Value(std::move(out)));
}

std::string write_model(const ModelCard& card) {
  return write_json(model_value(card));
}

// Written straight into the string: the answer to a long text is longer than the text.
std::string write_tokenize_response(const TokenizeAnswer& answer) {
  std::string out = fmt::format("{{\"count\":{},\"max_model_len\":{},\"tokens\":", answer.tokens.size(),
                                answer.max_model_len);
  out += fmt::format("[{}],\"token_strs\":", fmt::join(answer.tokens, ","));
  if (!answer.with_strings) return out + "null}";
  char separator = '[';
  for (std::string_view text : answer.token_strings) {
    out += std::exchange(separator, ',');
    append_json_string(&out, text);
  }
  return out + (separator == '[' ? "[]}" : "]}");
}

std::string write_detokenize_response(const std::string& prompt) {
  std::string out = "{\"prompt\":";
  append_json_string(&out, prompt);
  return out + "}";
}

}  // namespace pagoda
