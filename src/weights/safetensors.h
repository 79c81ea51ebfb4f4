#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Reads the header of a safetensors file (https://huggingface.co/docs/safetensors: u64 little-endian header
// length, JSON, numbers) and checks all of it: header length (at most 100 MB), UTF-8, JSON without duplicate
// keys, every dtype, shape and offset; the tensors must fill the rest of the file without gap, overlap or
// trailing byte. The returned views point into `bytes`. Error kInvalidArgument; it names `file` and the
// tensor.
Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                    const std::string& file);

}  // namespace pagoda
