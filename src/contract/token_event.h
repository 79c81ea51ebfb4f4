#pragma once
#include <string>
#include <vector>

#include "base/small_vector.h"
#include "contract/step_result.h"
#include "contract/types.h"

namespace pagoda {

// Tokens with what is known of them. logprob, rank and top are empty unless the request asked for
// log-probabilities.
struct TokenRows {
  SmallVector<TokenId, 4> token;  // a step's tokens without a trip to the allocator
  std::vector<float> logprob;
  std::vector<int32_t> rank;
  std::vector<TopLogprob> top;
  std::vector<int32_t> top_begin;  // [size + 1]
};

// How far a choice has come and when; what has not happened yet is Time{}.
struct RequestTimings {
  Time arrival{}, scheduled{}, first_token{}, last_token{}, finished{};
};
struct ChoiceCounts {
  int32_t num_prompt = 0, num_cached = 0, num_output = 0;  // num_cached: of the prompt, found in the cache
};

// What a step did for one choice of one request. The last one of a choice carries finish != kNone.
struct TokenEvent {
  RequestId id = 0;
  int32_t choice = 0;
  TokenRows out;
  TokenRows prompt;  // with num_prompt_logprobs >= 0: prompt tokens 1 .. end, in order, on choice 0; in
                     // pieces when chunked
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = -1;  // kStop by a client's stop_token_id
  ChoiceCounts counts;      // with this event's tokens
  RequestTimings timings;   // as of this event
  std::string error;        // kError: for the log; a client gets a general sentence
  bool no_memory = false;   // kError: for want of memory, then without a text
};

// Where a request's events go. Called on the engine's publishing thread, one call at a time: must be quick.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(TokenEvent&& event) = 0;
  // An event is lost for want of memory, and with it the request. Any thread.
  virtual void on_lost() noexcept {}
};

}  // namespace pagoda
