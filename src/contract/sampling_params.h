#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "base/shared_list.h"
#include "contract/types.h"

namespace pagoda {

// How one choice is sampled. Checked by openai/ and frontend/: ranges hold, ids are in the vocabulary;
// everything below trusts it. Names, ranges and order of application are vLLM's.
struct SamplingParams {
  float temperature = 1, top_p = 1, min_p = 0;  // temperature < 1e-5: greedy
  float repetition_penalty = 1, frequency_penalty = 0, presence_penalty = 0;
  int32_t top_k = 0;  // 0: off
  int32_t min_tokens = 0, max_tokens = 16;
  // How many alternatives besides the token; -1: no log-probabilities at all.
  int32_t num_logprobs = -1, num_prompt_logprobs = -1;
  uint64_t seed = 0;  // drawn at admission when the client gave none; choice i uses seed + i
  bool ignore_eos = false;
  // The client's lists can be large, and each prompt and row has its SamplingParams: they share them.
  SharedList<std::pair<TokenId, float>> logit_bias;
  SharedList<TokenId> stop_token_ids;     // the client's, sorted; generation stops after one of them
  std::vector<TokenId> eos_token_ids;     // the model's, sorted; they end nothing under ignore_eos, but are
                                          // banned like stop_token_ids until min_tokens are there
  SharedList<TokenId> allowed_token_ids;  // empty: all
  SharedList<std::vector<TokenId>> bad_words;
};

}  // namespace pagoda
