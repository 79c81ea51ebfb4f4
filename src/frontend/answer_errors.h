#pragma once
#include "base/status.h"

namespace pagoda {

// What a request is told whose answer is too large for the memory that there is.
inline Status no_memory_for_answer() {
  return {StatusCode::kExhausted,
          "There is too little memory for the answer to this request: ask for fewer choices (n) or "
          "log-probabilities (logprobs, top_logprobs, prompt_logprobs), or try again later."};
}

// ... and whose time limit has passed with nothing of the answer told.
inline Status no_time_for_answer() {
  return {StatusCode::kTimeout, "The request's time ran out before there was an answer: the server is busy."};
}

}  // namespace pagoda
