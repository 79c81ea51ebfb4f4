#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
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

}  // namespace pagoda
