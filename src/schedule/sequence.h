// One choice of a request as the scheduler sees it, and the request they share. Private to the schedule room.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "contract/request.h"
#include "contract/types.h"
#include "kv/kv_manager.h"

namespace pagoda {

struct RequestState;

// kAttached: a choice > 0 whose prompt choice 0 is computing for it; in no queue.
// kForking: it has a row and samples from choice 0's logits in the plan in flight; blocks come when that is
// committed.
enum class SequenceState : uint8_t { kAttached, kHeld, kWaiting, kForking, kRunning, kEnded };

struct Sequence {
  RequestState* request = nullptr;
  int32_t choice = 0;
  SequenceState state = SequenceState::kAttached;
  bool last_of_request = false;  // its end was the request's
  uint64_t order = 0;            // of arrival

  std::vector<TokenId>
      tokens;  // prompt, then output; empty until first scheduled (the prompt is in the request)
  SeqKv kv;
  int32_t num_cached = 0;  // prompt tokens that others had computed
  int32_t num_computed = 0;
  int32_t num_computed_ever = 0;    // the most that num_computed has been: less of it is computed again
  int32_t num_prompt_reported = 0;  // prompt tokens 1 .. this have had their log-probabilities handed out

  int32_t row = -1;
  uint64_t row_step = 0;        // the plan that brought the row ...
  int32_t row_token_begin = 0;  // ... and where its tokens lie in it

  Time scheduled{}, first_token{}, last_token{};
  Sequence *prev = nullptr, *next = nullptr;  // in a SequenceQueue

  inline int32_t num_prompt() const;
  int32_t num_tokens() const { return tokens.empty() ? num_prompt() : static_cast<int32_t>(tokens.size()); }
  int32_t num_output() const { return num_tokens() - num_prompt(); }
  // Copies the prompt, with room for what will be generated, so that appending a token never allocates.
  inline void materialize(int32_t max_len);
};

struct RequestState {
  std::unique_ptr<Request> request;
  std::vector<Sequence> choices;  // [n], never resized: sequences are pointed to
  int32_t num_live = 0;
  int32_t num_attached = 0;
  int32_t max_num_output = 0;  // over the choices that have ended

  const SamplingParams& params() const { return request->params; }
};

int32_t Sequence::num_prompt() const {
  return static_cast<int32_t>(request->request->prompt.size());
}

void Sequence::materialize(int32_t max_len) {
  if (!tokens.empty()) return;
  const std::vector<TokenId>& prompt = request->request->prompt;
  int64_t longest = std::min<int64_t>(num_prompt() + int64_t{request->params().max_tokens}, max_len);
  tokens.reserve(static_cast<std::size_t>(std::max<int64_t>(longest, num_prompt()) + 1));
  tokens.assign(prompt.begin(), prompt.end());
}

}  // namespace pagoda
