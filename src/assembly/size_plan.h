// How long, how many and how much: the sizes of a step and of the KV cache, from the flags, the model and
// this machine's memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "assembly/engine_args.h"
#include "assembly/memory_plan.h"
#include "assembly/model_source.h"
#include "base/status.h"
#include "contract/kv_group.h"
#include "tensor/dtype.h"

namespace pagoda {

struct SizePlan {
  int32_t max_model_len = 0, max_num_batched_tokens = 0, max_num_seqs = 0;
  int32_t block_size = 0;  // tokens
  DType kv_dtype = DType::kF32;
  std::vector<KvGroupSpec> groups;
  MemoryPlan memory;
};

// Errors kInvalidArgument naming the flag that mends it.
Result<SizePlan> plan_sizes(const EngineArgs& args, const ModelSource& source);

// The lines that scripts made for vLLM look for.
void log_memory(const SizePlan& sizes);
// The cache's pages are taken as its blocks are first used: too little memory would show only under load.
void warn_of_scarce_memory(const SizePlan& sizes);

std::string with_commas(int64_t number);  // "1,234,567"

}  // namespace pagoda
