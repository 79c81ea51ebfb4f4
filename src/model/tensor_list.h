#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"

namespace pagoda {

// A stored tensor, or some of its rows.
struct TensorSource {
  std::string name;                     // a Hugging Face parameter, with `.weight` or `.bias`
  int64_t row_begin = 0, num_rows = 0;  // num_rows 0: all of it
};

// How tensor parallel ranks share a tensor: each has all of it, or some rows (the outputs of a projection),
// or some columns (its inputs; the ranks' products are summed). kKvHeadRows: rows by whole KV heads, of which
// several ranks have the same where there are fewer heads than ranks.
enum class Shard : uint8_t { kReplicated, kRows, kKvHeadRows, kColumns };

// One tensor as the model means it.
struct TensorSpec {
  TensorRole role = TensorRole::kEmbedding;
  bool is_bias = false;               // of the role's matrix
  int32_t layer = -1, expert = -1;    // -1: of no layer, of no expert
  std::vector<TensorSource> sources;  // several: their rows one under the other
  std::vector<int64_t> shape;         // [rows, columns] or [size]
  Shard shard = Shard::kReplicated;
  bool optional = false;  // a checkpoint may have it, the model does without
};

// THE list of a model's tensors: embedding, layer by layer, final norm, head. What checks, estimates, makes,
// loads, names or shares tensors reads this list; nothing else lists them.
std::vector<TensorSpec> tensor_list(const ModelSpec& spec);

// The part of a list that is one layer's.
std::span<const TensorSpec> layer_tensors(std::span<const TensorSpec> list, int32_t layer);
// nullptr: not in this list.
const TensorSpec* find_tensor(std::span<const TensorSpec> list, TensorRole role, int32_t expert = -1,
                              bool is_bias = false);

// What a checkpoint stores for a list: each source once, in the list's order. Requires: a source without
// num_rows is its tensor's only one.
struct StoredShape {
  std::string name;
  std::vector<int64_t> shape;
  bool optional = false;
};
std::vector<StoredShape> stored_shapes(std::span<const TensorSpec> list);

// Number of weights that a model has, in elements.
int64_t num_parameters(std::span<const TensorSpec> list);

}  // namespace pagoda
