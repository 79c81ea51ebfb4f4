#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "contract/api_error.h"
#include "contract/generate_request.h"
#include "contract/text_delta.h"

namespace pagoda {

// {"error": {"message", "type", "param", "code"}}.
std::string write_error(const ApiError& error);

// What is the same in every chunk of an answer.
struct ResponseHead {
  std::string id, model, system_fingerprint;
  int64_t created = 0;  // Unix time, s
  std::string role = "assistant";
};

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};

// Stream chunks, compact JSON without SSE framing.
std::string write_chat_role_chunk(const ResponseHead& head, const GenerateRequest& request, int32_t index);
std::string write_chat_chunk(const ResponseHead& head, const GenerateRequest& request, const TextDelta& delta,
                             int32_t index, const Usage* running_usage);
std::string write_completion_chunk(const ResponseHead& head, const GenerateRequest& request,
                                   const TextDelta& delta, int32_t index, int32_t text_offset,
                                   const Usage* running_usage);
std::string write_usage_chunk(const ResponseHead& head, const GenerateRequest& request, const Usage& usage);

// Gathers a choice's deltas for an answer that is not streamed.
struct ChoiceResult {
  int32_t index = 0;
  TextDelta whole;  // text, token_ids, logprobs, ... of all deltas together
  void append(TextDelta&& delta);
};
std::string write_chat_response(const ResponseHead& head, const GenerateRequest& request,
                                const std::vector<ChoiceResult>& choices, const Usage& usage);
std::string write_completion_response(const ResponseHead& head, const GenerateRequest& request,
                                      const std::vector<ChoiceResult>& choices, const Usage& usage);

struct ModelCard {
  std::string id, root;
  int64_t created = 0;
  int32_t max_model_len = 0;
};
std::string write_models(const std::vector<ModelCard>& cards);
std::string write_model(const ModelCard& card);

}  // namespace pagoda
