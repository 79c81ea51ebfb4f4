#include "frontend/answer_size.h"

#include <fmt/format.h>

namespace pagoda {

double least_logprobs(const ResponseShape& shape, bool is_chat, const SamplingParams& params,
                      std::size_t num_prompt_tokens) {
  double of_choice = 0, of_prompt = 0;
  if (!shape.stream && params.num_logprobs >= 0)
    of_choice = static_cast<double>(params.ignore_eos ? params.max_tokens : params.min_tokens) *
                (1 + params.num_logprobs);
  if (params.num_prompt_logprobs >= 0)
    of_prompt = static_cast<double>(num_prompt_tokens) * (1 + params.num_prompt_logprobs);
  const bool shows_prompt_once = is_chat && !shape.echo;
  return shape.n * of_choice + (shows_prompt_once ? 1 : shape.n) * of_prompt;
}

Status check_num_logprobs(double num_logprobs, int64_t most) {
  if (num_logprobs <= static_cast<double>(most)) return {};
  return invalid_argument(
      fmt::format(
          "The answer has {:.0f} log-probabilities or more (of choices `n` of each prompt, the tokens with "
          "`logprobs` or `top_logprobs`, and the prompt's with `prompt_logprobs`), of which {} at most are "
          "kept for an answer. Please ask for fewer of them, or, for those of generated tokens, stream.",
          num_logprobs, most),
      "logprobs");
}

}  // namespace pagoda
