#include "openai/response_parts.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "base/json.h"
#include "base/value.h"

namespace pagoda {
namespace {

constexpr float kLogprobFloor = -9999.0f;  // JSON has no -inf

void append_integer(std::string* out, int64_t number) {
  char digits[24];
  out->append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_logprob(std::string* out, float logprob) {
  *out += python_float_repr(logprob > kLogprobFloor ? static_cast<double>(logprob) : kLogprobFloor);
}

// `open`: see TokenLogprobText.
std::string token_text(const ResponseShape& shape, const TokenText& token, const std::string& open) {
  if (!shape.return_tokens_as_token_ids) return token_name(open, token.bytes);
  std::string text = "token_id:";
  append_integer(&text, token.id);
  return text;
}

// token, logprob, bytes of one object, without its braces.
void append_token(std::string* out, const ResponseShape& shape, const TokenText& token,
                  const std::string& open) {
  *out += "\"token\":";
  append_json_string(out, token_text(shape, token, open));
  *out += ",\"logprob\":";
  append_logprob(out, token.logprob);
  *out += ",\"bytes\":[";
  for (std::size_t i = 0; i < token.bytes.size(); ++i) {
    if (i > 0) *out += ',';
    append_integer(out, static_cast<unsigned char>(token.bytes[i]));
  }
  *out += ']';
}

// {"text": logprob} of the alternatives and the token itself; of tokens that look the same the most probable
// one.
void append_top_object(std::string* out, const ResponseShape& shape, const TokenLogprobText& token) {
  std::unordered_set<std::string> written;
  *out += '{';
  auto append_one = [&](const TokenText& one) {
    std::string text = token_text(shape, one, token.open);
    if (written.count(text) != 0) return;
    if (!written.empty()) *out += ',';
    append_json_string(out, text);
    *out += ':';
    append_logprob(out, one.logprob);
    written.insert(std::move(text));
  };
  for (const TokenText& one : token.top) append_one(one);
  append_one(token.token);
  *out += '}';
}

void append_sse_done(std::string* events) {
  append_sse_event(events, [](std::string* out) { *out += "[DONE]"; });
}

const char* finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "\"stop\"";
    case FinishReason::kLength:
      return "\"length\"";
    case FinishReason::kAbort:
      return "\"abort\"";
    case FinishReason::kTimeout:
      return "\"timeout\"";
    case FinishReason::kError:
      return "\"error\"";
    case FinishReason::kNone:
      break;
  }
  return "null";
}

}  // namespace

void append_sse_end(std::string* events, const ResponseHead& head, std::string_view object,
                    const ResponseShape& shape, const AnswerEnd& end) {
  if (shape.include_usage)
    append_sse_event(events, [&](std::string* out) {
      append_head(out, head, object);
      *out += ",\"choices\":[]";
      append_usage(out, end.usage);
      append_metrics(out, end.metrics);
      *out += '}';
    });
  append_sse_done(events);
}

void append_sse_error(std::string* events, const ApiError& error) {
  append_sse_event(events, [&](std::string* out) { *out += write_error(error); });
  append_sse_done(events);
}

void append_head(std::string* out, const ResponseHead& head, std::string_view object) {
  *out += "{\"id\":";
  append_json_string(out, head.id);
  *out += ",\"object\":\"";
  *out += object;
  *out += "\",\"created\":";
  append_integer(out, head.created);
  *out += ",\"model\":";
  append_json_string(out, head.model);
  if (head.system_fingerprint.empty()) return;
  *out += ",\"system_fingerprint\":";
  append_json_string(out, head.system_fingerprint);
}

void append_usage(std::string* out, const Usage& usage) {
  *out += ",\"usage\":{\"prompt_tokens\":";
  append_integer(out, usage.prompt_tokens);
  *out += ",\"total_tokens\":";
  append_integer(out, usage.prompt_tokens + usage.completion_tokens);
  *out += ",\"completion_tokens\":";
  append_integer(out, usage.completion_tokens);
  if (usage.cached_tokens >= 0) {
    *out += ",\"prompt_tokens_details\":{\"cached_tokens\":";
    append_integer(out, usage.cached_tokens);
    if (usage.created_cache_tokens >= 0) {
      *out += ",\"created_cache_tokens\":";
      append_integer(out, usage.created_cache_tokens);
    }
    *out += '}';
  }
  *out += '}';
}

void append_metrics(std::string* out, const std::optional<RequestMetrics>& metrics) {
  if (!metrics) return;
  auto number = [](double value) { return std::isfinite(value) ? Value(value) : Value(); };
  Object object;
  object.append("time_to_first_token_ms", number(metrics->time_to_first_token_ms));
  object.append("generation_time_ms", number(metrics->generation_time_ms));
  object.append("queue_time_ms", number(metrics->queue_time_ms));
  object.append("mean_itl_ms", number(metrics->mean_itl_ms));
  object.append("tokens_per_second", number(metrics->tokens_per_second));
  *out += ",\"metrics\":" + write_json(Value(std::move(object)));
}

void append_finish(std::string* out, const TextDelta& delta) {
  *out += ",\"finish_reason\":";
  *out += finish_name(delta.finish);
  *out += ",\"stop_reason\":";
  if (const auto* text = std::get_if<std::string>(&delta.stop_reason)) {
    append_json_string(out, *text);
  } else if (const auto* id = std::get_if<TokenId>(&delta.stop_reason)) {
    append_integer(out, *id);
  } else {
    *out += "null";
  }
}

void append_ids(std::string* out, std::string_view name, bool wanted, std::span<const TokenId> ids) {
  *out += ",\"";
  *out += name;
  if (!wanted) {
    *out += "\":null";
    return;
  }
  *out += "\":[";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) *out += ',';
    append_integer(out, ids[i]);
  }
  *out += ']';
}

void append_chat_logprobs(std::string* out, const ResponseShape& shape, const TextDelta& delta) {
  if (!shape.num_logprobs) {
    *out += ",\"logprobs\":null";
    return;
  }
  *out += ",\"logprobs\":{\"content\":[";
  for (std::size_t i = 0; i < delta.logprobs.size(); ++i) {
    if (i > 0) *out += ',';
    *out += '{';
    const std::string& open = delta.logprobs[i].open;
    append_token(out, shape, delta.logprobs[i].token, open);
    *out += ",\"top_logprobs\":[";
    for (std::size_t j = 0; j < delta.logprobs[i].top.size(); ++j) {
      *out += j > 0 ? ",{" : "{";
      append_token(out, shape, delta.logprobs[i].top[j], open);
      *out += '}';
    }
    *out += "]}";
  }
  *out += "],\"refusal\":null}";
}

void append_completion_logprobs(std::string* out, const ResponseShape& shape, const TextDelta& delta) {
  if (!shape.num_logprobs) {
    *out += ",\"logprobs\":null";
    return;
  }
  std::string tokens, logprobs, tops, offsets;
  auto append_one = [&](const TokenLogprobText& one) {
    if (!tokens.empty()) {
      for (std::string* list : {&tokens, &logprobs, &tops, &offsets}) *list += ',';
    }
    append_json_string(&tokens, token_text(shape, one.token, one.open));
    append_integer(&offsets, one.text_offset);
    if (one.has_logprob) {
      append_logprob(&logprobs, one.token.logprob);
      append_top_object(&tops, shape, one);
    } else {
      logprobs += "null";
      tops += "null";
    }
  };
  if (shape.echo)
    for (const TokenLogprobText& one : delta.prompt_logprobs) append_one(one);
  for (const TokenLogprobText& one : delta.logprobs) append_one(one);
  *out += ",\"logprobs\":{\"text_offset\":[" + offsets + "],\"token_logprobs\":[" + logprobs +
          "],\"tokens\":[" + tokens + "],\"top_logprobs\":[" + tops + "]}";
}

void append_prompt_logprobs(std::string* out, const std::vector<TokenLogprobText>& tokens) {
  *out += ",\"prompt_logprobs\":[";
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) *out += ',';
    if (!tokens[i].has_logprob) {
      *out += "null";
      continue;
    }
    auto append_one = [&](const TokenText& one) {
      *out += '"';
      append_integer(out, one.id);
      *out += "\":{\"logprob\":";
      append_logprob(out, one.logprob);
      *out += ",\"rank\":";
      append_integer(out, one.rank);
      *out += ",\"decoded_token\":";
      append_json_string(out, token_name(tokens[i].open, one.bytes));
      *out += '}';
    };
    *out += '{';
    append_one(tokens[i].token);
    for (const TokenText& one : tokens[i].top) {
      if (one.id == tokens[i].token.id) continue;
      *out += ',';
      append_one(one);
    }
    *out += '}';
  }
  *out += ']';
}

}  // namespace pagoda
