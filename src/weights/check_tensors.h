#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/tensor_list.h"
#include "weights/checkpoint.h"

namespace pagoda {

// `*` of a pattern stands for any characters.
bool name_matches(std::string_view pattern, std::string_view name);

// Every tensor of the list is there with its shape, of a float kind, but for optional ones, and nothing else
// but what matches a pattern of `ignored`. The error tells all that is wrong in one paragraph: of each kind
// the number and the first dozen names.
Status check_tensors(const Checkpoint& checkpoint, std::span<const TensorSpec> list,
                     std::span<const std::string> ignored);

}  // namespace pagoda
