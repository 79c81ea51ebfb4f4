#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "openai/request_fields.h"

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

constexpr std::size_t kChosenMax = 1 << 20;
constexpr char kStructured[] = "Structured output is not supported yet";

void read_response_format(Fields* fields) {
  Object format;
  fields->read("response_format", &format);
  if (!fields->has("response_format")) return;
  Fields inner(&format, "response_format");
  if (!inner.given("type")) inner.fail("type", "Field required");
  inner.never_null({"type"});
  std::string type;
  inner.read_choice("type", &type, {"text", "json_object", "json_schema", "structural_tag"});
  fields->fail(inner.finish());
  if (type != "text")
    fields->fail(invalid_argument(
        fmt::format("response_format: Only \"text\" is supported, got \"{}\". {}", type, kStructured),
        "response_format"));
}

// How structured output was asked for once. The latter two say nothing alone.
void read_guided(Fields* fields) {
  const Value* schema = fields->get("guided_json");
  if (schema != nullptr && !(*schema == Value("")))  // {} is any JSON
    fields->fail(invalid_argument(fmt::format("guided_json: {}", kStructured), "guided_json"));
  for (const char* name : {"guided_regex", "guided_choice", "guided_grammar"})
    fields->refuse(name, kStructured);
  for (const char* name : {"guided_decoding_backend", "guided_whitespace_pattern"}) fields->ignore(name);
}

void read_structured_outputs(Fields* fields) {
  Object outputs;
  fields->read("structured_outputs", &outputs);
  if (!fields->has("structured_outputs")) return;
  std::size_t kinds = 0;
  for (const char* name : {"json", "regex", "choice", "grammar", "json_object", "structural_tag"}) {
    const Value* kind = outputs.find(name);
    kinds += kind != nullptr && !kind->is_null();
  }
  if (kinds != 1)
    return fields->fail(invalid_argument(
        fmt::format("You must use one kind of structured outputs constraint, got {}.", kinds)));
  fields->fail(invalid_argument(fmt::format("structured_outputs: {}", kStructured), "structured_outputs"));
}

// Endless repetition is looked for where max_pattern_size is above 0.
void read_repetition_detection(Fields* fields) {
  Object detection;
  fields->read("repetition_detection", &detection);
  Fields inner(&detection, "repetition_detection");
  inner.never_null({"max_pattern_size", "min_pattern_size", "min_count"});
  std::optional<int64_t> longest, shortest, count;
  inner.read("max_pattern_size", &longest);
  inner.read("min_pattern_size", &shortest);
  inner.read("min_count", &count);
  fields->fail(inner.finish());
  const int64_t most = longest.value_or(0), least = shortest.value_or(0);
  if (most < 0 || least < 0 || least > most)
    return fields->fail(invalid_argument(
        "max_pattern_size, min_pattern_size must be >=0, with min_pattern_size <= max_pattern_size."));
  if (most > 0 && count.value_or(0) < 2)
    return fields->fail(invalid_argument("min_count must be >= 2 to detect repetitive patterns."));
  if (most > 0)
    fields->fail(invalid_argument("repetition_detection: Repetition detection is not supported",
                                  "repetition_detection"));
}

// -1: no limit.
void read_thinking_budget(Fields* fields) {
  const Value* budget = fields->get("thinking_token_budget");
  if (budget == nullptr || *budget == Value(-1)) return;
  if (!budget->is_int() || budget->as_int() < 0)
    return fields->fail(
        invalid_argument("`thinking_token_budget` must be a non-negative integer or -1 for unlimited, " +
                             describe_value(*budget),
                         "thinking_token_budget"));
  fields->fail(invalid_argument("thinking_token_budget: A budget for thinking is not supported"));
}

void read_transfer_params(Fields* fields) {
  for (const char* name : {"kv_transfer_params", "ec_transfer_params"}) {
    if (const Value* value = fields->get(name); value != nullptr && !value->is_object())
      fields->fail(type_error(name, "a valid dictionary", *value));
    fields->refuse(name, "Transfer of cached blocks between servers is not supported");
  }
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

void reject_unsupported_fields(Fields* fields) {
  read_response_format(fields);
  read_structured_outputs(fields);
  read_guided(fields);
  fields->refuse("logits_processors", "Logits processors are not supported");
  bool beam_search = false;
  fields->read("use_beam_search", &beam_search);
  if (beam_search)
    fields->fail(invalid_argument("use_beam_search: Beam search is not supported", "use_beam_search"));
  read_repetition_detection(fields);
  read_thinking_budget(fields);
  std::vector<TokenId> chosen;
  fields->read("logprob_token_ids", &chosen, kChosenMax, TokenIds::kAny);
  if (!chosen.empty())
    fields->fail(invalid_argument("logprob_token_ids: Log-probabilities of chosen tokens are not supported",
                                  "logprob_token_ids"));
  read_transfer_params(fields);
}

}  // namespace pagoda
