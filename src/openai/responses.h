// Answers and errors as JSON, compact, without SSE framing. Written straight into the string: these run per
// token. Where the OpenAI schema and vLLM differ, the schema holds, with vLLM's extra members beside it.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_list.h"
#include "contract/api_error.h"
#include "contract/generate_request.h"
#include "contract/text_delta.h"

namespace pagoda {

// {"error": {"message", "type", "param", "code"}}.
std::string write_error(const ApiError& error);
// {"detail": ...}: what the web framework under vLLM says of a request that reaches none of its routes.
std::string write_detail(const std::string& detail);

// What is the same in every chunk of an answer.
struct ResponseHead {
  std::string id, model, system_fingerprint;  // fingerprint empty: not told
  int64_t created = 0;                        // Unix time, s
  std::string role = "assistant";
};

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  // Of the prompt, found in the cache and newly kept there; -1: not told.
  int64_t cached_tokens = -1, created_cache_tokens = -1;
};

// How long a request of one choice took, in ms (tokens/s the last), as vLLM defines them; NaN where it never
// came there.
struct RequestMetrics {
  double time_to_first_token_ms = NAN;  // from the first step it was part of
  double generation_time_ms = NAN;      // from the first token to the last
  double queue_time_ms = NAN, mean_itl_ms = NAN;
  double tokens_per_second = NAN;  // from the first step to the last token
};
// Adds `metrics` to an answer or a chunk that is written already.
void add_metrics(std::string* json, const RequestMetrics& metrics);

// Log-probabilities are finite JSON numbers: what is below -9999 (-inf included) is written as -9999.0, as
// vLLM does. `index` is the choice's index in the whole answer: prompt_index * n + choice.
// `prompt_token_ids` where the request wants them.
std::string write_chat_role_chunk(const ResponseHead& head, const GenerateRequest& request,
                                  const SharedList<TokenId>& prompt_token_ids, int32_t index,
                                  const Usage* running_usage);
std::string write_chat_chunk(const ResponseHead& head, const GenerateRequest& request, const TextDelta& delta,
                             int32_t index, const Usage* running_usage);
std::string write_completion_chunk(const ResponseHead& head, const GenerateRequest& request,
                                   const TextDelta& delta, int32_t index, const Usage* running_usage);
// choices: [].
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

struct TokenizeAnswer {
  int32_t max_model_len = 0;
  std::vector<TokenId> tokens;
  bool with_strings = false;
  std::vector<std::string_view> token_strings;
};
std::string write_tokenize_response(const TokenizeAnswer& answer);
std::string write_detokenize_response(const std::string& prompt);

}  // namespace pagoda
