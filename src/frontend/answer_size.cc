#include "frontend/answer_size.h"

#include <fmt/format.h>

namespace pagoda {

double most_logprobs(const ResponseShape& shape, const SamplingFields& fields, const SamplingParams& params,
                     std::size_t num_prompt_tokens) {
  double of_choice = 0;
  const bool is_bounded = fields.max_tokens || fields.default_max_tokens;
  if (!shape.stream && is_bounded && params.num_logprobs >= 0)
    of_choice += static_cast<double>(params.max_tokens) * (1 + params.num_logprobs);
  // Every choice shows those of the prompt; a stream sends them choice by choice.
  const double of_prompt = params.num_prompt_logprobs < 0
                               ? 0
                               : static_cast<double>(num_prompt_tokens) * (1 + params.num_prompt_logprobs);
  return shape.stream ? of_prompt : shape.n * (of_choice + of_prompt);
}

Status check_num_logprobs(double num_logprobs, int64_t most) {
  if (num_logprobs <= static_cast<double>(most)) return {};
  return invalid_argument(
      fmt::format(
          "The answer may have {:.0f} log-probabilities (choices `n` of each prompt, times `max_tokens` "
          "with `logprobs` or `top_logprobs`, and the prompt's tokens with `prompt_logprobs`), more "
          "than the {} that are kept for an answer. Please ask for fewer of them, or stream the answer.",
          num_logprobs, most),
      "logprobs");
}

}  // namespace pagoda
