#include "schedule/stop.h"

#include <algorithm>
#include <span>

namespace pagoda {
namespace {

// A client may name a whole vocabulary of stop ids, and this runs for each token.
bool contains(std::span<const TokenId> sorted_ids, TokenId id) {
  return std::binary_search(sorted_ids.begin(), sorted_ids.end(), id);
}

}  // namespace

StopVerdict check_stop(const Sequence& seq, int32_t max_len) {
  const SamplingParams& params = seq.request->params();
  int32_t num_output = seq.num_output();
  if (params.max_tokens == 0) {
    return {seq.num_computed_ever >= seq.num_prompt() ? FinishReason::kLength : FinishReason::kNone};
  }
  if (num_output == 0) return {};
  if (num_output >= params.min_tokens) {
    TokenId last = seq.output.back();
    if (!params.ignore_eos && contains(params.eos_token_ids, last)) return {FinishReason::kStop};
    if (contains(params.stop_token_ids, last)) return {FinishReason::kStop, last};
  }
  if (num_output >= params.max_tokens || seq.num_tokens() >= max_len) return {FinishReason::kLength};
  return {};
}

}  // namespace pagoda
