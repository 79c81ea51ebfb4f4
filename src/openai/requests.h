// The openai room: JSON of the OpenAI API (with vLLM's extensions) <-> contract values, and error bodies.
// Pure functions, no state, no threads. A bad field is an error that names it; unknown fields are ignored, as
// vLLM does; a known field that this server cannot honour is an error rather than a different answer. What
// needs the model (template, vocabulary, context length, defaults of generation_config.json) is not checked
// here but in frontend/. Time and memory are linear in the body.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_budget.h"
#include "base/status.h"
#include "contract/generate_request.h"

namespace pagoda {

// What the server's flags say of requests.
struct RequestLimits {
  int32_t n_max = 16384;                   // no more than the queue ever holds
  std::size_t stop_strings_max = 1024;     // also of bad_words
  std::size_t stop_bytes_max = 256 << 10;  // of all stop strings together; also of bad_words
  std::size_t prompts_max = 4096;          // in one text completion
  std::size_t messages_max = 16384;
  bool exclude_tools_when_tool_choice_none = false;
  bool return_tokens_as_token_ids = false;  // unless the request says otherwise
  bool force_include_usage = false;         // in every chunk, whatever the request says
};

// What a body asks for.
struct ParsedRequest {
  GenerateRequest generate;
  ResponseShape shape;
  std::string request_id, user;  // as the body gave them, or empty; user: the end user that the client names
  double timeout_s = 0;          // 0: none
  std::size_t heap_bytes() const;
};

// Errors kInvalidArgument, with the params that vLLM has: "body.messages.0.content" where the body does not
// fit the schema of the API, the bare name of the field (or nothing) where a value is refused that fits it.
// `memory`, unless null, is charged for the values of the body as they are read, up to all of them, and not
// for fewer at the end; its errors are handed on.
//
// Tools are handed to the template, if they are not to be called (tool_choice "none"): calls are not parsed.
Result<ParsedRequest> parse_chat_request(std::string_view body, const RequestLimits& limits,
                                         MemoryShare* memory = nullptr);
Result<ParsedRequest> parse_completion_request(std::string_view body, const RequestLimits& limits,
                                               MemoryShare* memory = nullptr);

struct TokenizeRequest {
  GenerateRequest request;  // prompt or messages
  bool return_token_strs = false;
  std::size_t heap_bytes() const { return request.heap_bytes(); }
};
Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const RequestLimits& limits,
                                               MemoryShare* memory = nullptr);
struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
  std::size_t heap_bytes() const { return tokens.capacity() * sizeof(TokenId); }
};
Result<DetokenizeRequest> parse_detokenize_request(std::string_view body, MemoryShare* memory = nullptr);

// {"request_ids": ["..."]}; none of them, or an empty list, stands for all (nullopt).
Result<std::optional<std::vector<std::string>>> parse_abort_request(std::string_view body);

}  // namespace pagoda
