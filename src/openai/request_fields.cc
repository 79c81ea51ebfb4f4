#include "openai/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace pagoda {
namespace {

// Checked again, and bounded, where the vocabulary is known.
constexpr std::size_t kTokenIdsMax = std::size_t{1} << 24;

void read_stop(Fields* fields, const RequestLimits& limits, ParsedRequest* request) {
  Value* value = fields->get("stop");
  if (value == nullptr) return;
  if (value->is_string()) {
    request->shape.stop.push_back(std::move(value->as_string()));
  } else if (!value->is_array()) {
    fields->fail(type_error("stop", "a valid string or list of strings", *value));
  } else {
    for (const Value& item : value->as_array())  // vLLM names the field alone
      if (!item.is_string()) return fields->fail(type_error("stop", "a valid list of strings", item));
    fields->read("stop", &request->shape.stop, limits.stop_strings_max);
  }
  std::size_t bytes = 0;
  for (const std::string& stop : request->shape.stop) bytes += stop.size();
  if (bytes > limits.stop_bytes_max)
    fields->fail("stop", fmt::format("Stop strings should have at most {} bytes together, got {}",
                                     limits.stop_bytes_max, bytes));
}

void read_token_ids(Fields* fields, const char* name, std::vector<TokenId>* out) {
  fields->read(name, out, kTokenIdsMax, TokenIds::kAny);
  std::sort(out->begin(), out->end());
  out->erase(std::unique(out->begin(), out->end()), out->end());
}

void read_logit_bias(Fields* fields, SamplingFields* sampling) {
  Object bias;
  fields->read("logit_bias", &bias);
  auto& out = sampling->logit_bias;
  out.reserve(bias.size());
  for (const Member& member : bias) {
    // A value of the wrong type is told of before a key that is no id.
    Result<double> value =
        parse_number(member.value, join_location("logit_bias", member.key.substr(0, kKeyBytes)));
    if (!value.ok()) return fields->fail(value.status());
    if (std::isnan(*value))
      return fields->fail(invalid_argument("logit_bias: a bias is not a number", "logit_bias"));
    Result<int64_t> id = parse_integer(Value(member.key), 0, kInt32Max, "logit_bias");
    if (!id.ok() || member.key.find('.') != std::string::npos)  // "7.0" is an integer elsewhere
      return fields->fail(invalid_argument(
          "logit_bias: Keys should be token ids, " + describe_value(Value(member.key)), "logit_bias"));
    out.emplace_back(static_cast<TokenId>(*id), static_cast<float>(std::clamp(*value, -100.0, 100.0)));
  }
  // "7" and "07" are one id: the last one holds, as in a dictionary.
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  auto last_of_each =
      std::unique(out.rbegin(), out.rend(), [](const auto& a, const auto& b) { return a.first == b.first; });
  out.erase(out.begin(), last_of_each.base());
}

void read_sampling(Fields* fields, const RequestLimits& limits, SamplingFields* sampling) {
  fields->read("frequency_penalty", &sampling->frequency_penalty);
  read_logit_bias(fields, sampling);
  fields->read("presence_penalty", &sampling->presence_penalty);
  fields->read("seed", &sampling->seed, kInt64Min, kInt64Max);
  if (sampling->seed == -1) sampling->seed.reset();  // vLLM's word for "any"
  fields->read("temperature", &sampling->temperature);
  fields->read("top_p", &sampling->top_p);
  if (const Value* top_k = fields->get("top_k")) {  // more than there are is all of them
    Result<int64_t> count = parse_integer(*top_k, "top_k");
    if (!count.ok()) return fields->fail(count.status());
    if (*count == kInt64Min) fields->fail(top_k_too_small(describe_value(*top_k)));  // or beyond
    sampling->top_k = *count;
  }
  fields->read("min_p", &sampling->min_p);
  fields->read("repetition_penalty", &sampling->repetition_penalty);
  read_token_ids(fields, "stop_token_ids", &sampling->stop_token_ids);
  fields->read("ignore_eos", &sampling->ignore_eos);
  fields->read("min_tokens", &sampling->min_tokens);
  read_token_ids(fields, "allowed_token_ids", &sampling->allowed_token_ids);
  if (fields->has("allowed_token_ids") && sampling->allowed_token_ids.empty())
    fields->fail(invalid_argument("allowed_token_ids is not None and empty: no token could be generated",
                                  "allowed_token_ids"));
  fields->read("bad_words", &sampling->bad_words, limits.stop_strings_max);
  std::size_t bytes = 0;
  for (const std::string& word : sampling->bad_words) bytes += word.size();
  if (bytes > limits.stop_bytes_max)  // each step compares what was generated with all of them
    fields->fail("bad_words", fmt::format("Bad words should have at most {} bytes together, got {}",
                                          limits.stop_bytes_max, bytes));
}

void read_stream(Fields* fields, const RequestLimits& limits, ParsedRequest* request) {
  fields->read("stream", &request->shape.stream);
  Object options;
  fields->read("stream_options", &options);
  Fields inner(&options, "stream_options");
  inner.read("include_usage", &request->shape.include_usage);
  inner.read("continuous_usage_stats", &request->shape.continuous_usage);
  inner.ignore("include_obfuscation");
  fields->fail(inner.finish());
  request->shape.continuous_usage = request->shape.continuous_usage && request->shape.include_usage;
  if (limits.force_include_usage) request->shape.include_usage = request->shape.continuous_usage = true;
}

// Deadline, priority and user: do not change the answer.
void read_service(Fields* fields, ParsedRequest* request) {
  fields->read("priority", &request->generate.priority, kInt64Min, kInt64Max);
  std::optional<double> timeout;
  fields->read("timeout", &timeout);
  if (timeout && !(*timeout > 0))
    fields->fail(
        invalid_argument(fmt::format("timeout must be greater than 0 seconds, got {}", *timeout), "timeout"));
  request->timeout_s = timeout.value_or(0);
  fields->read("user", &request->user);
  std::optional<int64_t> interval;
  fields->read("stream_interval", &interval, 1, kInt64Max);
  request->shape.stream_interval = interval.value_or(0);
}

// Of no effect on the answer here. What vLLM has in its schema is held to its type; what is OpenAI's alone is
// not looked at.
void read_inert(Fields* fields) {
  bool flag = false;
  fields->read("watermarking", &flag);  // no watermark is configured
  fields->read("return_token_offsets", &flag);
  fields->read("return_mm_kwargs", &flag);
  std::string text;
  fields->read("session_id", &text);
  fields->read_choice("mm_payload", &text, {"tensors", "none"});
  std::optional<double> number;
  fields->read("length_penalty", &number);
  Object extra;
  fields->read("vllm_xargs", &extra);
  for (const Member& member : extra) {
    const Value& value = member.value;
    const bool plain = plain_number(&value) || value.is_string() || value.is_array();
    if (!plain)
      fields->fail(type_error(join_location("vllm_xargs", member.key.substr(0, kKeyBytes)),
                              "a string, a number or a list of such", value));
  }
  for (const char* name : {"service_tier", "metadata", "store", "safety_identifier", "prompt_cache_key",
                           "prompt_cache_retention"})
    fields->ignore(name);
}

void read_n(Fields* fields, const RequestLimits& limits, ParsedRequest* request) {
  const Value* value = fields->get("n");
  if (value == nullptr) return;
  Result<int64_t> n = parse_integer(*value, "n");
  if (!n.ok()) return fields->fail(n.status());
  if (*n < kInt32Min) fields->fail(n_too_small(describe_value(*value)));
  if (*n > kInt32Max) fields->fail(n_too_large(describe_value(*value), limits.n_max));
  request->shape.n = static_cast<int32_t>(std::clamp<int64_t>(*n, kInt32Min, kInt32Max));
}

}  // namespace

Result<Value> parse_body(std::string_view body, JsonMeter* meter) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  if (body.empty()) return invalid_argument("The body is empty: Field required", "body");
  std::size_t error_at = 0;
  Result<Value> value = parse_json(body, {.meter = meter}, &error_at);
  if (!value.ok() && value.status().code() != StatusCode::kInvalidArgument) return value.status();
  if (!value.ok())
    return invalid_argument("The body is not valid: " + value.status().message(),
                            "body." + std::to_string(count_code_points(body.substr(0, error_at))));
  if (value->is_null()) return invalid_argument("The body is null: Field required", "body");
  if (!value->is_object())
    return invalid_argument("The body should be a JSON object, " + describe_value(*value), "body");
  return value;
}

std::size_t ParsedRequest::heap_bytes() const {
  constexpr std::size_t kCopies = 3;  // of names: in the answer's head and in the context, too
  return generate.heap_bytes() + shape.heap_bytes() +
         kCopies * (pagoda::heap_bytes(request_id) + pagoda::heap_bytes(user));
}

void read_common_fields(Fields* fields, const RequestLimits& limits, ParsedRequest* request) {
  fields->never_null({"use_beam_search", "length_penalty", "include_stop_str_in_output", "ignore_eos",
                      "min_tokens", "skip_special_tokens", "spaces_between_special_tokens", "bad_words",
                      "add_special_tokens", "priority", "request_id", "routed_experts_prompt_start",
                      "mm_payload"});
  fields->read("model", &request->generate.model);
  read_n(fields, limits, request);
  read_sampling(fields, limits, &request->generate.sampling);
  read_stop(fields, limits, request);
  read_stream(fields, limits, request);
  fields->read("include_stop_str_in_output", &request->shape.include_stop_str_in_output);
  fields->read("skip_special_tokens", &request->shape.skip_special_tokens);
  fields->read("spaces_between_special_tokens", &request->shape.spaces_between_special_tokens);
  fields->read("truncate_prompt_tokens", &request->generate.truncate_prompt_tokens, -1, kInt64Max);
  if (fields->has("truncate_prompt_tokens") && request->generate.truncate_prompt_tokens == 0)
    fields->fail(invalid_argument("truncate_prompt_tokens: of 0 tokens nothing of the prompt would be left"));
  std::string side = "left";
  fields->read_choice("truncation_side", &side, {"left", "right"});
  request->generate.truncate_right = side == "right";
  fields->read("prompt_logprobs", &request->shape.num_prompt_logprobs);
  fields->read("echo", &request->shape.echo);
  fields->read("add_special_tokens", &request->generate.add_special_tokens);
  fields->read("return_token_ids", &request->shape.return_token_ids);
  request->shape.return_tokens_as_token_ids = limits.return_tokens_as_token_ids;
  fields->read("return_tokens_as_token_ids", &request->shape.return_tokens_as_token_ids);
  fields->read("cache_salt", &request->generate.cache_salt);
  fields->read("request_id", &request->request_id);
  read_service(fields, request);
  fields->read("routed_experts_prompt_start", &request->generate.routed_experts_prompt_start, 0, kInt64Max);
  reject_unsupported_fields(fields);
  read_inert(fields);
}

}  // namespace pagoda
