// The openai room: JSON of the OpenAI API (with vLLM's extensions) <-> contract values, and error bodies. Pure functions, no
// state, no threads. A bad field is an error that names it; unknown fields are ignored, as vLLM does.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "contract/generate_request.h"

namespace pagoda {

// Limits that judge requests; from the server's flags.
struct RequestLimits {
  int32_t n_max = 16384;
  std::size_t stop_strings_max = 1024;
  std::size_t prompts_max = 4096;  // in one text completion
  std::size_t messages_max = 16384;
};

// Errors kInvalidArgument with the dotted location of the field ("messages.0.content").
Result<GenerateRequest> parse_chat_request(std::string_view body, const RequestLimits& limits);
Result<GenerateRequest> parse_completion_request(std::string_view body, const RequestLimits& limits);

struct TokenizeRequest {
  GenerateRequest request;  // prompt or messages
  bool return_token_strs = false;
};
Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const RequestLimits& limits);
struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
};
Result<DetokenizeRequest> parse_detokenize_request(std::string_view body);

}  // namespace pagoda
