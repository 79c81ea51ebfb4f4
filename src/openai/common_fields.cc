#include "openai/common_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/json.h"

namespace pagoda {
namespace {

// Judged again, and bounded, where the vocabulary is known.
constexpr std::size_t kTokenIdsMax = std::size_t{1} << 24;

template <class T>
void sort_unique(std::vector<T>* items) {
  std::sort(items->begin(), items->end());
  items->erase(std::unique(items->begin(), items->end()), items->end());
}

void read_stop(Fields* fields, const RequestLimits& limits, GenerateRequest* request) {
  Value* value = fields->get("stop");
  if (value == nullptr) return;
  if (value->is_string()) {
    request->stop.push_back(value->as_string());
  } else if (value->is_array()) {
    fields->read("stop", &request->stop, limits.stop_strings_max);
  } else {
    fields->fail("stop", "Input should be a string or a list of strings, " + describe_value(*value));
  }
  std::size_t bytes = 0;
  for (const std::string& stop : request->stop) {
    if (stop.empty()) fields->fail("stop", "stop cannot contain an empty string");
    bytes += stop.size();
  }
  if (bytes > limits.stop_bytes_max)
    fields->fail("stop", fmt::format("Stop strings should have at most {} bytes together, got {}",
                                     limits.stop_bytes_max, bytes));
}

void read_logit_bias(Fields* fields, SamplingFields* sampling) {
  Object bias;
  fields->read("logit_bias", &bias);
  auto& out = sampling->logit_bias;
  out.reserve(bias.size());
  for (const Member& member : bias) {
    const std::string& key = member.key;
    TokenId id = -1;
    auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return fields->fail("logit_bias", "Keys should be token ids, " + describe_value(Value(key)));
    Result<double> value = judge_number(member.value, {}, join_location("logit_bias", key));
    if (!value.ok()) return fields->fail(value.status());
    out.emplace_back(id, static_cast<float>(std::clamp(*value, -100.0, 100.0)));
  }
  // "7" and "07" are one id: the last one holds, as in a dictionary.
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  auto last_of_each =
      std::unique(out.rbegin(), out.rend(), [](const auto& a, const auto& b) { return a.first == b.first; });
  out.erase(out.begin(), last_of_each.base());
}

void read_sampling(Fields* fields, const RequestLimits& limits, SamplingFields* sampling) {
  fields->read("temperature", &sampling->temperature, {.low = 0, .high = 2});
  fields->read("top_p", &sampling->top_p, {.low = 0, .high = 1, .above = true});
  fields->read("top_k", &sampling->top_k, -1, kInt64Max);
  fields->read("min_p", &sampling->min_p, {.low = 0, .high = 1});
  fields->read("repetition_penalty", &sampling->repetition_penalty, {.low = 0, .above = true});
  fields->read("frequency_penalty", &sampling->frequency_penalty, {.low = -2, .high = 2});
  fields->read("presence_penalty", &sampling->presence_penalty, {.low = -2, .high = 2});
  fields->read("min_tokens", &sampling->min_tokens, 0, kInt64Max);
  fields->read("seed", &sampling->seed, std::numeric_limits<int64_t>::min(), kInt64Max);
  fields->read("ignore_eos", &sampling->ignore_eos);
  read_logit_bias(fields, sampling);
  fields->read("stop_token_ids", &sampling->stop_token_ids, kTokenIdsMax);
  sort_unique(&sampling->stop_token_ids);
  fields->read("allowed_token_ids", &sampling->allowed_token_ids, kTokenIdsMax);
  sort_unique(&sampling->allowed_token_ids);
  if (fields->has("allowed_token_ids") && sampling->allowed_token_ids.empty())
    fields->fail("allowed_token_ids", "List should not be empty: no token could be generated");
  fields->read("bad_words", &sampling->bad_words, limits.stop_strings_max);
  for (const std::string& word : sampling->bad_words)
    if (word.empty()) fields->fail("bad_words", "bad_words cannot contain an empty string");
}

void read_stream(Fields* fields, GenerateRequest* request) {
  fields->read("stream", &request->stream);
  Object options;
  if (fields->has("stream_options")) {
    fields->read("stream_options", &options);
    if (!request->stream)
      return fields->fail("stream_options", "Stream options can only be given when stream is true");
    request->include_usage = true;
  }
  Fields inner(&options, "stream_options");
  inner.read("include_usage", &request->include_usage);
  inner.read("continuous_usage_stats", &request->continuous_usage);
  inner.ignore("include_obfuscation");
  fields->fail(inner.finish());
  request->continuous_usage = request->continuous_usage && request->include_usage;
}

// Each of these would change the answer, so none is passed over in silence.
void refuse_unbuilt(Fields* fields) {
  if (const Value* format = fields->get("response_format")) {
    const Value* type = format->find("type");
    if (!format->is_object() || type == nullptr || !type->is_string())
      fields->fail("response_format", "Input should be an object with a type, " + describe_value(*format));
    else if (type->as_string() != "text")
      fields->fail(
          "response_format.type",
          "Only \"text\" is supported: structured output is not built yet, " + describe_value(*type));
  }
  const char* unbuilt = "Structured output is not supported yet";
  fields->refuse("structured_outputs", unbuilt);
  for (const char* name : {"guided_json", "guided_regex", "guided_choice", "guided_grammar",
                           "guided_decoding_backend", "guided_whitespace_pattern"})
    fields->refuse(name, unbuilt);
  fields->refuse("logits_processors", "Logits processors are not supported");
  fields->refuse_unless("use_beam_search", Value(false), "Beam search is not supported");
  std::optional<double> length_penalty;
  fields->read("length_penalty", &length_penalty, {});
  fields->refuse("prompt_embeds", "Prompt embeddings are not supported");
  fields->refuse("repetition_detection", "Repetition detection is not supported");
  fields->refuse("thinking_token_budget", "A budget for thinking is not supported");
  fields->refuse("logprob_token_ids", "Log-probabilities of chosen tokens are not supported");
  fields->refuse("kv_transfer_params", "Transfer of KV blocks is not supported");
}

// When and for whom: does not change the answer.
void read_service(Fields* fields, const RequestLimits& limits, GenerateRequest* request) {
  fields->read("priority", &request->priority, std::numeric_limits<int64_t>::min(), kInt64Max);
  if (request->priority != 0 && !limits.accept_priority)
    fields->fail("priority", fmt::format("Got priority {}, but the server does not go by priority "
                                         "(--scheduling-policy priority)",
                                         request->priority));
  std::optional<double> timeout;
  fields->read("timeout", &timeout, {.low = 0, .above = true});
  request->timeout_s = timeout.value_or(0);
  fields->read("user", &request->user);
  fields->read("stream_interval", &request->stream_interval, 1, kInt64Max);
}

// Accepted for their type, of no effect on the answer.
void read_inert(Fields* fields) {
  std::string text;
  fields->read("service_tier", &text);
  Object object;
  fields->read("vllm_xargs", &object);
  fields->read("metadata", &object);
  bool flag = false;
  fields->read("store", &flag);
  for (const char* name : {"safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
    fields->ignore(name);
}

}  // namespace

Result<Value> parse_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return invalid_argument("The body is empty: it should be a JSON object", "body");
  Result<Value> value = parse_json(body);
  if (!value.ok()) return invalid_argument("The body is not valid: " + value.status().message(), "body");
  if (!value->is_object())
    return invalid_argument("The body should be a JSON object, " + describe_value(*value), "body");
  return value;
}

void read_common_fields(Fields* fields, const RequestLimits& limits, GenerateRequest* request) {
  fields->read("model", &request->model);
  read_sampling(fields, limits, &request->sampling);
  fields->read("n", &request->n, 1, limits.n_max);
  read_stop(fields, limits, request);
  fields->read("include_stop_str_in_output", &request->include_stop_str_in_output);
  fields->read("skip_special_tokens", &request->skip_special_tokens);
  fields->read("spaces_between_special_tokens", &request->spaces_between_special_tokens);
  fields->read("add_special_tokens", &request->add_special_tokens);
  fields->read("echo", &request->echo);
  fields->read("truncate_prompt_tokens", &request->truncate_prompt_tokens, -1, kInt64Max);
  if (fields->has("truncate_prompt_tokens") && request->truncate_prompt_tokens == 0)
    fields->fail("truncate_prompt_tokens",
                 "Input should be -1 or at least 1, got 0: nothing of the prompt would be left");
  read_stream(fields, request);
  std::optional<int64_t> prompt_logprobs;
  fields->read("prompt_logprobs", &prompt_logprobs, -1, kInt32Max - 1);
  if (prompt_logprobs) {
    if (request->stream && *prompt_logprobs != 0)
      fields->fail("prompt_logprobs", "prompt_logprobs are not available when stream is true");
    request->num_prompt_logprobs =
        *prompt_logprobs < 0 ? kAllLogprobs : static_cast<int32_t>(*prompt_logprobs);
  }
  fields->read("return_token_ids", &request->return_token_ids);
  fields->read("return_tokens_as_token_ids", &request->return_tokens_as_token_ids);
  fields->read("cache_salt", &request->cache_salt);
  if (fields->has("cache_salt") && request->cache_salt.empty())
    fields->fail("cache_salt", "Input should be a string that is not empty");
  fields->read("request_id", &request->request_id);
  read_service(fields, limits, request);
  refuse_unbuilt(fields);
  read_inert(fields);
}

}  // namespace pagoda
