#pragma once
#include "base/status.h"
#include "contract/generate_request.h"
#include "contract/sampling_params.h"
#include "frontend/model_info.h"

namespace pagoda {

// Everything of the request that needs the model but not the prompt: defaults of generation_config.json,
// token ids, bad words, the bound on log-probabilities. max_tokens stays unset: see fit_max_tokens.
Result<SamplingParams> resolve_sampling(const ModelInfo& model, const GenerateRequest& request,
                                        const ResponseShape& shape, uint64_t random_seed);

// Fits max_tokens into what the context leaves for a prompt of this many tokens, and checks min_tokens by it.
// A completion that asks for 0 tokens (echo alone) computes one, which the stream drops.
Status fit_max_tokens(const ModelInfo& model, const GenerateRequest& request, std::size_t num_prompt_tokens,
                      SamplingParams* params);

}  // namespace pagoda
