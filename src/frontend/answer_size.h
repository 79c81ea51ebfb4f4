// How much of an answer is kept until it is whole. Log-probabilities make an answer large: with 20
// alternatives a token takes 2 KB, n choices as often.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "contract/generate_request.h"
#include "contract/sampling_params.h"

namespace pagoda {

// In one answer that is not streamed, and of the prompts of any, alternatives counted: 256 MiB. Each takes
// about 150 bytes until it is written, and 76 as JSON.
inline constexpr int64_t kAnswerLogprobsMax = (int64_t{256} << 20) / 224;

// That the answer to one prompt comes to at least; what is generated counts where it is not streamed.
// is_chat: a chat shows its prompt once, other answers in every choice. Requires: params are resolved for
// this prompt.
double least_logprobs(const ResponseShape& shape, bool is_chat, const SamplingParams& params,
                      std::size_t num_prompt_tokens);
// kInvalidArgument, where these are more than `most`.
Status check_num_logprobs(double num_logprobs, int64_t most);

}  // namespace pagoda
