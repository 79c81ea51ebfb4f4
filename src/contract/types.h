// The contract room: the plain values that cross doors. No behaviour, no threads, no I/O; a room that needs
// only these depends on no other. A value that is moved through a door is given away; what comes back is a
// new value.
#pragma once
#include <chrono>
#include <cstdint>

namespace pagoda {

using TokenId = int32_t;
using BlockId = int32_t;
using RequestId = uint64_t;
using Time = std::chrono::steady_clock::time_point;

// Never allocated; stands for blocks that a sliding window no longer sees.
inline constexpr BlockId kNullBlock = 0;
// "The id sampled for this row in the step before": lets plan N+1 be made before result N is known.
inline constexpr TokenId kFromLastStep = -1;

// kTimeout: its deadline passed.
enum class FinishReason : uint8_t { kNone, kStop, kLength, kAbort, kError, kTimeout };

}  // namespace pagoda
