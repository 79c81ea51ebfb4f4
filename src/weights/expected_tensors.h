#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "weights/checkpoint.h"

namespace pagoda {

// What a model wants of its checkpoint.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
struct ExpectedTensors {
  std::vector<ExpectedTensor> tensors;
  // Names that may be there and are not read; `*` stands for any characters.
  std::vector<std::string> ignored;
};

bool name_matches(std::string_view pattern, std::string_view name);

// Every expected tensor is there with its shape, of a float kind, and nothing else but ignored ones. The
// error tells all that is wrong in one paragraph: of each kind the number and the first dozen names.
Status check_tensors(const Checkpoint& checkpoint, const ExpectedTensors& expected);

// Random weights for any model, for benchmarks (`--load-format dummy`): made when read, so that only what is
// being read is held. About N(0, 0.02), vectors named *norm.weight are ones, *.bias small; a pure function of
// seed, name and index. dtype: F32, F16 or BF16. `pool` shares the work and outlives the checkpoint; may be
// null.
std::unique_ptr<Checkpoint> make_dummy_checkpoint(const ExpectedTensors& expected, DType dtype, uint64_t seed,
                                                  ComputePool* pool);

}  // namespace pagoda
