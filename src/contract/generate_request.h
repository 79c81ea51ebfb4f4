#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory_budget.h"
#include "base/value.h"
#include "base/variant.h"
#include "contract/tenant.h"
#include "contract/types.h"

namespace pagoda {

// As a number of alternatives: log-probabilities of the whole vocabulary.
inline constexpr int64_t kAllLogprobs = -1;

// Sampling fields as the client gave them: ranges hold, defaults not yet filled in (generation_config.json
// supplies them in frontend/).
struct SamplingFields {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int64_t> top_k, min_tokens, max_tokens, seed;
  bool is_max_completion_tokens = false;  // the name under which max_tokens was given
  // Where max_tokens is not given; unset: what generation_config.json says, or what the context leaves.
  std::optional<int64_t> default_max_tokens;
  bool ignore_eos = false;
  std::vector<std::pair<TokenId, float>> logit_bias;       // clamped to [-100, 100]; ids >= 0
  std::vector<TokenId> stop_token_ids, allowed_token_ids;  // sorted
  std::vector<std::string> bad_words;
};

// A message's content is made of two kinds of parts: {"type": "text", "text": ...} ...
inline Value text_part(std::string text) {
  Object part;
  part.append("type", "text");
  part.append("text", std::move(text));
  return Value(std::move(part));
}

// ... and {"type": "tool_reference", "name": ...}, a tool that the template is to tell of in this place.
inline Value tool_reference_part(std::string name) {
  Object part;
  part.append("type", "tool_reference");
  part.append("name", std::move(name));
  return Value(std::move(part));
}

inline bool is_text_part(const Value& part) {
  return part.find("text") != nullptr;
}

// What the part is where content is one string.
inline const std::string& text_of_part(const Value& part) {
  return part.find(is_text_part(part) ? "text" : "name")->as_string();
}
inline std::string& text_of_part(Value* part) {
  return part->as_object().find(is_text_part(*part) ? "text" : "name")->as_string();
}

// A chat, before its template is rendered.
struct ChatPrompt {
  Array messages;          // each an object with a role; content a string, null or an array of parts
  Value tools;             // null or an array of tool objects
  Object template_kwargs;  // chat_template_kwargs, documents, reasoning_effort...
  Value chat_template;     // what the request brings as one, whatever it is; null: nothing
  bool add_generation_prompt = true, continue_final_message = false;
};
// Text, or ids already.
using TextPrompt = Variant<std::string, std::vector<TokenId>>;
// A text completion may hold several prompts.
using RequestPrompt = Variant<ChatPrompt, std::vector<TextPrompt>>;

// A request in three values, each finished by its maker and read-only from then on. What needs the model
// (template, tokens, context length, vocabulary) is checked by frontend/.

// What the model is asked. Goes down to frontend/, which makes engine Requests of it and drops it.
struct GenerateRequest {
  std::string model;  // as the client named it; empty: the first served name
  RequestPrompt prompt;
  std::string_view prompt_field = "prompt";  // where the body has it, for errors; a literal
  bool add_special_tokens = true;            // chat: false, the template writes them
  SamplingFields sampling;
  int64_t truncate_prompt_tokens = 0;       // 0: no; -1: to the context less one; otherwise keep k tokens ...
  bool truncate_right = false;              // ... the first ones instead of the last
  int64_t routed_experts_prompt_start = 0;  // of no effect, but within the prompt
  int64_t priority = 0;
  std::string cache_salt;

  int32_t num_prompts() const;
  // What the client can make large.
  std::size_t heap_bytes() const;
};

// What the answer consists of. Stays where answers are read and written: frontend/, server/, openai/.
struct ResponseShape {
  int32_t n = 1;  // choices of each prompt
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false, skip_special_tokens = true, spaces_between_special_tokens = true;
  bool echo = false;
  std::optional<int64_t> num_logprobs, num_prompt_logprobs;  // alternatives, from 0, or kAllLogprobs
  bool return_token_ids = false, return_tokens_as_token_ids = false;
  bool stream = false, include_usage = false, continuous_usage = false;
  int64_t stream_interval = 0;  // tokens per streamed piece; 0: the server's

  std::size_t heap_bytes() const;
};

// What the server knows of a request: its name in answers and logs, when it came, until when its answer is
// wanted, whose it is.
struct RequestContext {
  std::string id;
  Time arrival{}, deadline = Time::max();
  Tenant tenant;                        // in the queue
  Tenant fair_tenant;                   // in the fair schedule
  std::shared_ptr<MemoryShare> memory;  // charged for what the request takes while it is there; may be null
};

}  // namespace pagoda
