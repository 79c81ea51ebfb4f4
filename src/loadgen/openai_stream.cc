#include "loadgen/openai_stream.h"

#include "base/json.h"

namespace pagoda {
namespace {

constexpr std::size_t kErrorBytesMax = 500;
constexpr int64_t kTokensMax = int64_t{1} << 32;

// A string member that is there and not empty; nullptr otherwise.
const std::string* text_member(const Value& object, const char* name) {
  const Value* value = object.find(name);
  return value != nullptr && value->is_string() && !value->as_string().empty() ? &value->as_string()
                                                                               : nullptr;
}

// A number that can be one of tokens, and that may be added up over all requests.
std::optional<int64_t> count_member(const Value& object, const char* name) {
  const Value* value = object.find(name);
  if (value == nullptr || !value->is_int() || value->as_int() < 0 || value->as_int() > kTokensMax)
    return std::nullopt;
  return value->as_int();
}

// {"error": {"message": ...}}, {"error": "..."}, {"message": ...} or the text as it is.
std::string error_message(const std::string& body) {
  Result<Value> json = parse_json(body);
  if (json.ok()) {
    const Value* error = json->find("error");
    if (error != nullptr && error->is_string()) return error->as_string();
    const Value& holder = error != nullptr ? *error : *json;
    if (const std::string* message = text_member(holder, "message")) return *message;
  }
  return body.substr(0, kErrorBytesMax);
}

Value prompt_value(const BenchPrompt& prompt) {
  if (prompt.ids.empty()) return prompt.text;
  Array ids;
  ids.reserve(prompt.ids.size());
  for (int32_t id : prompt.ids) ids.emplace_back(id);
  return ids;
}

Array chat_messages(const BenchPrompt& prompt) {
  Object message;
  message.set("role", "user");
  message.set("content", prompt.text);
  return {Value(std::move(message))};
}

}  // namespace

std::string request_body(const RequestStyle& style, const BenchPrompt& prompt) {
  Object body, stream_options;
  body.set("model", style.model);
  if (style.chat)
    body.set("messages", chat_messages(prompt));
  else
    body.set("prompt", prompt_value(prompt));
  body.set("max_tokens", prompt.output_len);
  body.set("stream", true);
  stream_options.set("include_usage", true);
  body.set("stream_options", std::move(stream_options));
  if (style.ignore_eos) body.set("ignore_eos", true);
  if (style.logprobs && style.chat) {
    body.set("logprobs", true);
    body.set("top_logprobs", *style.logprobs);
  } else if (style.logprobs) {
    body.set("logprobs", *style.logprobs);
  }
  for (const Member& member : style.extra_body) body.set(member.key, member.value);
  return write_json(Value(std::move(body)));
}

bool AnswerReader::feed(std::string_view bytes, double now) {
  bool go_on = sse_.feed(bytes, [&](std::string_view data) { return on_event(data, now); });
  if (!go_on && sse_.is_endless()) fail("the answer is one endless event");
  return go_on;
}

bool AnswerReader::on_event(std::string_view data, double now) {
  if (data == "[DONE]") {
    complete_ = true;
    return true;
  }
  Result<Value> chunk = parse_json(data);
  if (!chunk.ok()) {
    fail("a chunk is not JSON: " + chunk.status().message());
    return false;
  }
  const Value* error = chunk->find("error");
  if (error != nullptr && !error->is_null()) {
    fail(error_message(std::string(data)));
    return false;
  }
  if (const Value* usage = chunk->find("usage")) {
    if (auto count = count_member(*usage, "completion_tokens")) completion_tokens_ = count;
    if (auto count = count_member(*usage, "prompt_tokens")) prompt_tokens_ = count;
  }
  const Value* choices = chunk->find("choices");
  if (choices != nullptr && choices->is_array())
    for (const Value& choice : choices->as_array()) on_choice(choice, now);
  return true;
}

bool AnswerReader::has_content(const Value& choice, bool finishes) {
  if (!chat_) {
    if (const std::string* text = text_member(choice, "text")) {
      if (keep_text_) record_->generated_text += *text;
      return true;
    }
    return !finishes;
  }
  const Value* delta = choice.find("delta");
  if (delta == nullptr) return false;
  bool content = false;
  for (const char* name : {"content", "reasoning", "reasoning_content"})
    if (const std::string* text = text_member(*delta, name)) {
      if (keep_text_) record_->generated_text += *text;
      content = true;
    }
  const Value* calls = delta->find("tool_calls");
  if (content || (calls != nullptr && calls->is_array() && !calls->as_array().empty())) return true;
  return !finishes && delta->find("role") == nullptr;
}

void AnswerReader::on_choice(const Value& choice, double now) {
  const Value* reason = choice.find("finish_reason");
  bool finishes = reason != nullptr && !reason->is_null();
  if (finishes) complete_ = true;
  if (has_content(choice, finishes) || (finishes && !has_first_)) {
    if (has_first_)
      record_->itls.push_back(now - last_content_);
    else
      record_->ttft = now - sent_;
    has_first_ = true;
    last_content_ = now;
  } else if (finishes) {
    finish_gap_ = now - last_content_;
  }
  if (has_first_) record_->latency = now - sent_;
}

void AnswerReader::fail(const std::string& message) {
  if (record_->error.empty()) record_->error = message;
}

void AnswerReader::finish(const Status& transport, int http_status, const std::string& error_body,
                          double now) {
  sse_.finish([&](std::string_view data) { return on_event(data, now); });
  if (!transport.ok())
    fail(transport.message());
  else if (http_status < 200 || http_status >= 300)
    fail("HTTP status " + std::to_string(http_status) + ": " + error_message(error_body));
  else if (!has_first_)
    fail("the answer has no chunk with content: is this a streaming OpenAI endpoint?");
  else if (!complete_)
    fail("the answer ended without finish_reason and without [DONE]");
  record_->success = record_->error.empty();
  if (!record_->success) return;
  if (prompt_tokens_) record_->prompt_len = *prompt_tokens_;
  if (finish_gap_ && completion_tokens_.value_or(0) > record_->num_chunks())
    record_->itls.push_back(*finish_gap_);
  record_->has_usage = completion_tokens_.has_value();
  record_->output_len = completion_tokens_.value_or(record_->num_chunks());
}

}  // namespace pagoda
