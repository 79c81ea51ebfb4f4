#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "model/tensor_list.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Random weights for any model, for benchmarks (`--load-format dummy`): made when read, so that only what is
// being read is held; without the optional tensors. About N(0, 0.02), vectors named *norm.weight are ones,
// *.bias small; a pure function of seed, name and index. dtype: F32, F16 or BF16. `pool` shares the work and
// outlives the checkpoint; may be null.
std::unique_ptr<Checkpoint> make_dummy_checkpoint(std::span<const TensorSpec> list, DType dtype,
                                                  uint64_t seed, ComputePool* pool);

}  // namespace pagoda
