// Answers to what is generated, as JSON. Written straight into the string: these run per token. Where the
// OpenAI schema and vLLM differ, the schema holds, with vLLM's extra members beside it.
#pragma once
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/generate_request.h"
#include "contract/text_delta.h"
#include "openai/api_error.h"

namespace pagoda {

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

// What is told once all choices have ended.
struct AnswerEnd {
  Usage usage;
  std::optional<RequestMetrics> metrics;  // unset: not told
};

// A choice's deltas as one.
struct ChoiceResult {
  int32_t index = 0;  // in the whole answer: prompt_index * n + choice
  TextDelta whole;    // text, token_ids, logprobs, ... of all deltas together
  void append(TextDelta&& delta) {
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
};

// How a route answers: whole, or as a stream of server-sent events (WHATWG HTML, section 9.2). Each route has
// one, which is immutable. Log-probabilities are finite JSON numbers: what is below -9999 (-inf included) is
// written as -9999.0, as vLLM does.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // Of the ids of its answers.
  virtual std::string_view id_prefix() const = 0;
  virtual std::string whole(const ResponseHead& head, const ResponseShape& shape,
                            const std::vector<ChoiceResult>& choices, const AnswerEnd& end) const = 0;

  // A stream is begin(), delta() of each piece, end(); or error() at any point. Each appends events.
  // `first`: the delta that comes next; of an answer without any an empty one.
  virtual void begin(std::string* events, const ResponseHead& head, const ResponseShape& shape,
                     std::size_t num_choices, const TextDelta& first) const = 0;
  // `index`: as in ChoiceResult.
  virtual void delta(std::string* events, const ResponseHead& head, const ResponseShape& shape,
                     const TextDelta& delta, int32_t index) const = 0;
  virtual void end(std::string* events, const ResponseHead& head, const ResponseShape& shape,
                   const AnswerEnd& end) const = 0;
  virtual void error(std::string* events, const ApiError& error) const = 0;
};

const AnswerFormat& chat_format();        // /v1/chat/completions
const AnswerFormat& completion_format();  // /v1/completions

}  // namespace pagoda
