#include <fmt/format.h>

#include <array>

#include "openai/request_rules.h"

namespace pagoda {
namespace {

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
  Object params;
  for (const char* name : {"kv_transfer_params", "ec_transfer_params"}) {
    if (const Value* value = fields->get(name); value != nullptr && !value->is_object())
      fields->fail(type_error(name, "a valid dictionary", *value));
    fields->refuse(name, "Transfer of cached blocks between servers is not supported");
  }
}

}  // namespace

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
