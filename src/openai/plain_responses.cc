#include "base/json.h"
#include "openai/responses.h"

namespace pagoda {
namespace {

Value model_value(const ModelCard& card) {
  Object out;
  out.append("id", card.id);
  out.append("object", "model");
  out.append("created", card.created);
  out.append("owned_by", "vllm");  // what clients that look for it know
  out.append("root", card.root);
  out.append("parent", Value());
  out.append("max_model_len", card.max_model_len);
  out.append("permission", Array());
  return Value(std::move(out));
}

}  // namespace

std::string write_error(const ApiError& error) {
  Object inner;
  inner.append("message", error.message);
  inner.append("type", error.type);
  inner.append("param", error.param.empty() ? Value() : Value(error.param));
  inner.append("code", error.http_status);
  Object out;
  out.append("error", std::move(inner));
  return write_json(Value(std::move(out)));
}

void add_metrics(std::string* json, const RequestMetrics& metrics) {
  auto seconds = [](double value) { return std::isfinite(value) ? Value(value) : Value(); };
  Object out;
  out.append("arrival", seconds(metrics.arrival));
  out.append("queue_s", seconds(metrics.queue_s));
  out.append("prefill_s", seconds(metrics.prefill_s));
  out.append("ttft_s", seconds(metrics.ttft_s));
  out.append("decode_s", seconds(metrics.decode_s));
  out.append("e2e_s", seconds(metrics.e2e_s));
  json->pop_back();  // the brace that closes it
  *json += ",\"metrics\":" + write_json(Value(std::move(out))) + "}";
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

std::string write_tokenize_response(const TokenizeAnswer& answer) {
  Object out;
  out.append("count", static_cast<int64_t>(answer.tokens.size()));
  out.append("max_model_len", answer.max_model_len);
  Array ids, strings;
  for (TokenId id : answer.tokens) ids.emplace_back(id);
  for (const std::string& text : answer.token_strings) strings.emplace_back(text);
  out.append("tokens", std::move(ids));
  out.append("token_strs", answer.with_strings ? Value(std::move(strings)) : Value());
  return write_json(Value(std::move(out)));
}

std::string write_detokenize_response(const std::string& prompt) {
  Object out;
  out.append("prompt", prompt);
  return write_json(Value(std::move(out)));
}

}  // namespace pagoda
