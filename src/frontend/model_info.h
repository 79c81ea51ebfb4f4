#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "contract/types.h"
#include "frontend/answer_size.h"
#include "jinja/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace pagoda {

// What the front end knows of the served model. Made by assembly/, immutable.
struct ModelInfo {
  std::vector<std::string> served_names;  // not empty; the first is used in answers and metrics
  bool accept_any_name = false;           // in requests
  std::string root;                       // the model reference as given
  int32_t max_model_len = 0;
  int32_t cache_block_size = 0;  // tokens of a block of the prefix cache; 0: there is none
  int32_t vocab_size = 0;        // of the model's logits; the tokenizer may have a few ids more
  std::vector<TokenId> eos_token_ids;
  TokenId bos_token_id = -1;
  std::string bos_token, eos_token;
  std::shared_ptr<const Tokenizer> tokenizer;         // null under --skip-tokenizer-init
  std::shared_ptr<const ChatTemplate> chat_template;  // null: none; chats are then refused with a clear 400
  std::shared_ptr<const ChatTemplate> tool_chat_template;  // picked when tools are given; may be null
  std::vector<std::string> chat_template_names;            // those there are, where none is the default
  Object tokenizer_config;  // tokenizer_config.json, added tokens as their texts, with the chat template
  // Hand content to templates as a list of parts ("openai") or as a string; unset: as each template wants it.
  std::optional<bool> content_parts;
  Object default_template_kwargs;
  bool trust_request_chat_template = false;
  // Defaults of sampling fields from generation_config.json: temperature, top_p, top_k, min_p,
  // repetition_penalty, max_new_tokens. What is absent has the API's own default.
  Object default_sampling;
  bool max_new_tokens_is_limit = false;  // the operator's, not the model's: also where more is asked for
  int32_t max_logprobs = 20;             // -1: vocab_size
  int64_t answer_logprobs_max = kAnswerLogprobsMax;
  std::string response_role = "assistant";
  int64_t created = 0;  // Unix time, s
};

}  // namespace pagoda
