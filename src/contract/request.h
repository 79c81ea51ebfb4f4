#pragma once
#include <array>
#include <memory>
#include <vector>

#include "base/shared_list.h"
#include "contract/block_key.h"
#include "contract/sampling_params.h"
#include "contract/token_constraint.h"
#include "contract/types.h"

namespace pagoda {

// Why a sequence is not ready to run. kHoldKvLoad: its blocks are being read from disk; the scheduler sets
// and clears it itself, the engine the others.
enum Hold : uint8_t { kHoldNone = 0, kHoldLora = 1, kHoldGrammar = 2, kHoldKvLoad = 4 };

// One prompt and the n choices wanted for it. Moved: frontend -> engine -> schedule, where it lives and dies.
struct Request {
  RequestId id = 0;
  SharedList<TokenId> prompt;  // not empty, shorter than max_model_len; read in place by all its choices
  SamplingParams params;
  int32_t n = 1;                                // choices share the prompt, then fork
  std::unique_ptr<TokenConstraint> constraint;  // null: free text
  uint32_t lora_id = 0;                         // 0: the base model
  int64_t priority = 0;                         // lower first
  uint64_t tenant_key = 0;                      // by which seats, blocks and turns are shared
  uint32_t tenant_weight = 1;
  std::array<uint8_t, 16> cache_salt_hash{};
  std::vector<ExtraKey> extra_keys;  // of the prompt, in order; they do not overlap
  Time arrival{}, deadline = Time::max();
  uint8_t holds = kHoldNone;
  bool goes_ahead = false;        // under fcfs: waits for its own tenant's sake
  bool read_prefix_cache = true;  // off for prompt log-probabilities
};

}  // namespace pagoda
