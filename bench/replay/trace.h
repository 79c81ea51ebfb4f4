// A trace of requests as a serving cluster saw them: when, how long, and which prefixes they share. One JSON
// object per line: `ts` (ms), `il` and `ol` (tokens in and out), `bh` (ids of the prompt's full blocks of
// 1024 tokens; equal ids: equal tokens up to there), `priority`, `shard`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "contract/types.h"

namespace pagoda {

struct TraceRequest {
  double arrival_s = 0;
  int32_t num_prompt = 0, num_output = 0;
  std::vector<uint64_t> blocks;
  int64_t priority = 0;
  uint64_t client = 0;
};

inline constexpr int32_t kTraceBlock = 1024;

// Outputs of length 0 become 1: such a request ended with its first byte, so its prompt was computed.
Result<std::vector<TraceRequest>> read_trace(const std::string& path);
// Tokens that are equal exactly where the trace says so; behind the last full block they are the request's
// own.
std::vector<TokenId> prompt_of(const TraceRequest& request, uint64_t number);

// What a cache that forgets nothing could spare, by the blocks' ids alone: leading blocks that an earlier
// request had. `block_size`: of the engine's cache; the last token is always computed.
struct TraceSharing {
  int64_t num_prompt_tokens = 0, num_shared_tokens = 0, num_output_tokens = 0;
};
// The same for a cache of so many tokens that holds nothing else, and forgets what was wanted longest ago.
int64_t shared_with_memory(const std::vector<TraceRequest>& trace, int32_t block_size, int64_t num_tokens);
TraceSharing sharing_of(const std::vector<TraceRequest>& trace, int32_t block_size);

}  // namespace pagoda
