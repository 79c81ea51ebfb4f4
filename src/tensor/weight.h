#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "tensor/dtype.h"

namespace pagoda {

// How the elements of a weight stand for its numbers. What differs between file formats in the order of bits
// and tensors is brought into one of these by the checkpoint that reads it: AWQ, GPTQ (`column_groups` for
// act-order), FP8 per tensor, output or block, and compressed-tensors are kGrouped. A format whose scales are
// inside of its blocks (GGUF's K-quants) is a scheme of its own, with `data` and `row_stride` alone.
enum class QuantScheme : uint8_t {
  kNone,    // an element is a number
  kGrouped  // number = scale * (code - zero), scale and zero being shared by a group of neighbours
};

struct Quantization {
  QuantScheme scheme = QuantScheme::kNone;
  // kGrouped:
  int32_t bits = 0;  // of a code: 8, or 4: two in a byte, the lower column in the lower half
  int32_t group_rows = 0, group_columns = 0;  // of a group; 0: all
  bool has_zeros = false;                     // one of each group's own, instead of:
  int32_t zero = 0;                           // of every group
  bool operator==(const Quantization&) const = default;
};

// A weight matrix [rows = out features, columns = in features] as the model means it, whatever files and
// tensors it comes from: what weights/ gives and ops/ packs. The bytes are of any alignment and live as long
// as the checkpoint and every copy of this.
struct Weight {
  std::string name;  // the model's, for messages
  Quantization quant;
  DType dtype = DType::kF32;  // of an element. kGrouped: I8, U8 or F8_E4M3 (8 bits), U8 (4 bits)
  int64_t rows = 0, columns = 0;
  int64_t row_stride = 0;  // bytes
  std::span<const std::byte> data;

  // kGrouped, both [groups of rows, groups of columns]:
  DType scale_dtype = DType::kF32;           // F32, F16 or BF16
  std::span<const std::byte> scales, zeros;  // zeros: U8, or empty
  std::span<const int32_t> column_groups;    // [columns] the group of each; empty: by turns of group_columns
  int32_t first_row_in_group = 0;            // rows of row 0's group that belong to rows above it

  std::shared_ptr<const void> owner;  // of bytes that are not the checkpoint's own

  int64_t row_bytes() const;
  int64_t num_column_groups() const;
  int64_t row_group(int64_t row) const;  // which row of `scales` is its
  // Rows [begin, begin + count) of this: a slice of a fused tensor. Requires: 0 <= begin, begin + count <=
  // rows.
  Weight rows_of(int64_t begin, int64_t count) const;
};

// Numbers of `dtype`, row after row.
Weight plain_weight(std::string name, DType dtype, int64_t rows, int64_t columns,
                    std::span<const std::byte> data);

std::string describe(const Weight& weight);  // "'a.weight' (BF16 [2, 3])"

// Every number can be read: the sizes are positive and those of the spans, groups are there for all rows and
// columns, and the dtypes fit the scheme. Error kInvalidArgument, naming the weight.
Status check_weight(const Weight& weight);

}  // namespace pagoda
