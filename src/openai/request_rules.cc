#include "openai/request_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr std::size_t kCacheSaltMax = 128;

// Log-probabilities are counted by plain numbers: here alone a number in a string is none.
void check_count(Fields* fields, const char* name) {
  const Value* value = fields->get(name);
  if (value == nullptr) return;
  std::optional<double> number = plain_number(value);
  if (!number)
    return fields->fail(
        invalid_argument(fmt::format("`{}` must be an integer, {}.", name, describe_value(*value)), name));
  if (*number < 0 && *number != -1)
    fields->fail(invalid_argument(
        fmt::format("`{}` must be a positive value or -1, {}.", name, describe_value(*value)), name));
}

void check_logprobs(Fields* fields, const char* top_name) {
  if (is_truthy(fields->get("logprob_token_ids"))) {
    if (is_truthy(fields->get("use_beam_search")))
      fields->fail(
          invalid_argument("`logprob_token_ids` is not supported with beam search.", "logprob_token_ids"));
    const Value* logprobs = fields->get("logprobs");
    // Chat has a flag there, text completions a number, which may be 0.
    const bool wanted = top_name == std::string_view("logprobs") ? logprobs != nullptr : is_truthy(logprobs);
    if (!wanted)
      fields->fail(
          invalid_argument("when using `logprob_token_ids`, `logprobs` must be set.", "logprob_token_ids"));
  }
  check_count(fields, "prompt_logprobs");
  std::optional<double> prompt = plain_number(fields->get("prompt_logprobs"));
  if (prompt && *prompt != 0 && is_truthy(fields->get("stream")))
    fields->fail(
        invalid_argument("`prompt_logprobs` are not available when `stream=True`.", "prompt_logprobs"));
  check_count(fields, top_name);
}

void check_stream_options(Fields* fields) {
  if (is_truthy(fields->get("stream_options")) && !is_truthy(fields->get("stream")))
    fields->fail(
        invalid_argument("Stream options can only be defined when `stream=True`.", "stream_options"));
}

void check_cache_salt(Fields* fields) {
  const Value* salt = fields->get("cache_salt");
  if (salt == nullptr) return;
  if (!salt->is_string() || salt->as_string().empty())
    return fields->fail(
        invalid_argument("Parameter 'cache_salt' must be a non-empty string if provided.", "cache_salt"));
  const std::string& text = salt->as_string();
  if (count_code_points(text) > kCacheSaltMax ||
      text.find_first_of(std::string_view("@/\\\0", 4)) != std::string::npos)
    fields->fail(
        invalid_argument("Parameter 'cache_salt' must be at most 128 characters and must not contain "
                         "'@', '/', '\\', or NUL.",
                         "cache_salt"));
}

void check_response_format(Fields* fields) {
  const Value* format = fields->get("response_format");
  const Value* type = format == nullptr ? nullptr : format->find("type");
  if (type == nullptr) return;
  auto absent = [&](const char* name) {
    const Value* inner = format->find(name);
    return inner == nullptr || inner->is_null();
  };
  if (*type == Value("json_schema") && absent("json_schema"))
    fields->fail(invalid_argument(
        "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
        "response_format"));
  if (*type == Value("structural_tag") && absent("format") && absent("structures"))
    fields->fail(
        invalid_argument("Invalid response_format structural_tag specification.", "response_format"));
}

void check_structured_outputs(Fields* fields, const char* param) {
  const Value* outputs = fields->get("structured_outputs");
  if (outputs == nullptr) return;
  int kinds = 0;
  for (const char* name : {"json", "regex", "choice"}) {
    const Value* kind = outputs->find(name);
    kinds += kind != nullptr && !kind->is_null();
  }
  if (kinds > 1)
    fields->fail(
        invalid_argument("You can only use one kind of constraints for structured outputs ('json', "
                         "'regex' or 'choice').",
                         param));
}

// The text must hold for NaN too: `within` is false for it.
Status check_range(const std::optional<double>& number, bool within, const char* rule, const char* name,
                   const char* param) {
  if (!number || within) return {};
  return invalid_argument(fmt::format("{} must be {}, got {}.", name, rule, *number), param);
}

}  // namespace

void check_chat_rules(Fields* fields) {
  if (is_truthy(fields->get("continue_final_message")) && is_truthy(fields->get("add_generation_prompt")))
    fields->fail(
        invalid_argument("Cannot set both `continue_final_message` and `add_generation_prompt` to True."));
  check_tool_rules(fields);
  check_structured_outputs(fields, "");
  check_logprobs(fields, "top_logprobs");
  std::optional<double> top = plain_number(fields->get("top_logprobs"));
  if (top && *top != 0 && !is_truthy(fields->get("logprobs")))
    fields->fail(
        invalid_argument("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs"));
  check_stream_options(fields);
  check_response_format(fields);
  check_cache_salt(fields);
}

void check_completion_rules(Fields* fields) {
  const Value* prompt = fields->get("prompt");
  if (prompt == nullptr || *prompt == Value(""))
    if (!is_truthy(fields->get("prompt_embeds")))
      fields->fail(
          invalid_argument("Either prompt or prompt_embeds must be provided and non-empty.", "prompt"));
  check_stream_options(fields);
  check_logprobs(fields, "logprobs");
  check_structured_outputs(fields, "structured_outputs");
  check_response_format(fields);
  check_cache_salt(fields);
}

Status n_too_small(const std::string& got) {
  return invalid_argument(fmt::format("n must be at least 1, {}.", got));
}

Status top_k_too_small(const std::string& got) {
  return invalid_argument(fmt::format("top_k must be 0 (disable), or at least 1, {}.", got));
}

void refuse_best_of(Fields* fields, int32_t n) {
  const Value* best_of = fields->get("best_of");
  if (best_of == nullptr) return;
  Result<int64_t> number = parse_integer(*best_of, "best_of");
  if (!number.ok() || *number != n)
    fields->fail(invalid_argument("best_of: It is not supported: all n choices are returned", "best_of"));
}

Status n_too_large(const std::string& got, int32_t n_max) {
  return invalid_argument(
      fmt::format("n must be at most {}, {}. To increase this limit, set "
                  "--max-num-queued-reqs, and VLLM_MAX_N_SEQUENCES beyond 16384.",
                  n_max, got));
}

Status check_ranges(const ParsedRequest& request, int32_t n_max, int64_t max_tokens_min) {
  const SamplingFields& s = request.generate.sampling;
  auto in = [](const std::optional<double>& number, double low, double high) {
    return number && *number >= low && *number <= high;
  };
  if (request.shape.n < 1) return n_too_small(fmt::format("got {}", request.shape.n));
  if (request.shape.n > n_max) return n_too_large(fmt::format("got {}", request.shape.n), n_max);
  PAGODA_RETURN_IF_ERROR(
      check_range(s.presence_penalty, in(s.presence_penalty, -2, 2), "in [-2, 2]", "presence_penalty", ""));
  PAGODA_RETURN_IF_ERROR(check_range(s.frequency_penalty, in(s.frequency_penalty, -2, 2), "in [-2, 2]",
                                     "frequency_penalty", ""));
  const bool repetition =
      s.repetition_penalty && std::isfinite(*s.repetition_penalty) && *s.repetition_penalty > 0;
  PAGODA_RETURN_IF_ERROR(check_range(s.repetition_penalty, repetition, "a finite number greater than zero",
                                     "repetition_penalty", ""));
  PAGODA_RETURN_IF_ERROR(
      check_range(s.temperature, in(s.temperature, 0, 2), "in [0, 2]", "temperature", "temperature"));
  PAGODA_RETURN_IF_ERROR(
      check_range(s.top_p, in(s.top_p, 0, 1) && *s.top_p > 0, "in (0, 1]", "top_p", "top_p"));
  if (s.top_k && *s.top_k < -1) return top_k_too_small(fmt::format("got {}", *s.top_k));
  PAGODA_RETURN_IF_ERROR(check_range(s.min_p, in(s.min_p, 0, 1), "in [0, 1]", "min_p", ""));
  if (s.max_tokens && *s.max_tokens < max_tokens_min)
    return invalid_argument(fmt::format("max_tokens must be at least 1, got {}.", *s.max_tokens),
                            "max_tokens");
  if (s.min_tokens && *s.min_tokens < 0)
    return invalid_argument(
        fmt::format("min_tokens must be greater than or equal to 0, got {}.", *s.min_tokens));
  for (const std::string& stop : request.shape.stop)
    if (stop.empty()) return invalid_argument("stop cannot contain an empty string.");
  for (const std::string& word : s.bad_words) {
    if (word.empty()) return invalid_argument("bad_words cannot contain an empty string.");
    if (word.find_first_not_of(" \t\n\r\f\v") == std::string::npos)
      return invalid_argument("bad_words entries must be more than spaces.", "bad_words");
  }
  return {};
}

}  // namespace pagoda
