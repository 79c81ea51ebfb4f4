#include "openai/answer_format.h"

#include <iterator>
#include <utility>

namespace pagoda {

void ChoiceResult::append(TextDelta&& delta) {
  auto move_to = [](auto* to, auto* from) {
    if (to->empty())
      *to = std::move(*from);
    else
      to->insert(to->end(), std::make_move_iterator(from->begin()), std::make_move_iterator(from->end()));
  };
  move_to(&whole.token_ids, &delta.token_ids);
  move_to(&whole.logprobs, &delta.logprobs);
  move_to(&whole.prompt_logprobs, &delta.prompt_logprobs);
  if (!delta.prompt_token_ids.empty()) whole.prompt_token_ids = std::move(delta.prompt_token_ids);
  whole.text += delta.text;
  whole.prompt_text += delta.prompt_text;
  whole.prompt_index = delta.prompt_index;
  whole.choice = delta.choice;
  whole.finish = delta.finish;
  whole.stop_reason = std::move(delta.stop_reason);
  whole.counts = delta.counts;
  whole.timings = delta.timings;
}

}  // namespace pagoda
