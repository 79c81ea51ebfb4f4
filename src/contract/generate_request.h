#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "base/value.h"
#include "base/variant.h"
#include "contract/tenant.h"
#include "contract/types.h"

namespace pagoda {

// As a number of alternatives: log-probabilities of the whole vocabulary.
inline constexpr int64_t kAllLogprobs = -1;

// Sampling fields as the client gave them: ranges judged, defaults not yet filled in (generation_config.json
// supplies them in frontend/).
struct SamplingFields {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int64_t> top_k, min_tokens, max_tokens, seed;
  bool is_max_completion_tokens = false;  // the name under which max_tokens was given
  bool ignore_eos = false;
  std::vector<std::pair<TokenId, float>> logit_bias;       // clamped to [-100, 100]; ids >= 0
  std::vector<TokenId> stop_token_ids, allowed_token_ids;  // sorted
  std::vector<std::string> bad_words;
};

// A chat, before its template is rendered.
struct ChatPrompt {
  Array messages;  // each an object with a role; content a string, null or an array of parts (content_part.h)
  Value tools;     // null or an array of tool objects
  Object template_kwargs;  // chat_template_kwargs, documents, reasoning_effort...
  Value chat_template;     // what the request brings as one, whatever it is; null: nothing
  bool add_generation_prompt = true, continue_final_message = false;
};
// Text, or ids already.
using TextPrompt = Variant<std::string, std::vector<TokenId>>;

// A request in the words of the API, fully judged as far as the request alone can tell: the last place with
// settings as text. What needs the model (template, tokens, context length, vocabulary) is judged by
// frontend/.
struct GenerateRequest {
  std::string request_id;  // as the body gave it; the server makes it "chatcmpl-..." or "cmpl-..."
  std::string model;       // as the client named it; empty: the first served name
  Variant<ChatPrompt, std::vector<TextPrompt>> prompt;  // a text completion may hold several prompts
  bool is_chat() const { return prompt.index() == 0; }
  // It can be large, and is needed no more. What kind it was is still known.
  void drop_prompt() {
    if (is_chat())
      prompt = ChatPrompt();
    else
      prompt = std::vector<TextPrompt>();
  }
  SamplingFields sampling;
  int32_t n = 1;
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false, skip_special_tokens = true, spaces_between_special_tokens = true;
  bool add_special_tokens = true;  // chat: false, the template writes them
  bool echo = false;
  std::optional<int64_t> num_logprobs, num_prompt_logprobs;  // alternatives, from 0, or kAllLogprobs
  int64_t truncate_prompt_tokens = 0;       // 0: no; -1: to the context less one; otherwise keep k tokens ...
  bool truncate_right = false;              // ... the first ones instead of the last
  int64_t routed_experts_prompt_start = 0;  // of no effect, but within the prompt
  bool return_token_ids = false, return_tokens_as_token_ids = false;
  bool stream = false, include_usage = false, continuous_usage = false;
  int64_t stream_interval = 0;  // tokens per streamed piece; 0: the server's
  int64_t priority = 0;
  std::string cache_salt;
  std::string user;      // whom the client asks for, in its own words
  double timeout_s = 0;  // 0: none
  // Known to the server alone: when the request came, when its answer is no longer wanted, who asks.
  Time arrival{}, deadline = Time::max();
  uint64_t client_key = 0;  // in the fair schedule; 0: nobody in particular
  uint32_t weight = 1;
  Tenant tenant;                        // in the queue
  std::shared_ptr<MemoryShare> memory;  // charged for what this takes, as long as that is there; may be null

  // What the client can make large, with the copies that its answer needs of all but the prompt.
  std::size_t heap_bytes() const;
};

}  // namespace pagoda
