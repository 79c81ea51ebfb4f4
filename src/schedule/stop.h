// When a choice has ended, as far as token ids tell; stop strings are the frontend's.
#pragma once
#include "contract/types.h"
#include "schedule/sequence.h"

namespace pagoda {

struct StopVerdict {
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = -1;  // the client's stop_token_id that ended it
};

// Checks the newest token, in vLLM's order: EOS, the client's stop ids (both only from min_tokens on),
// max_tokens, max_len (prompt + output). A choice with max_tokens 0 ends when its prompt has been computed.
StopVerdict check_stop(const Sequence& seq, int32_t max_len);

}  // namespace pagoda
