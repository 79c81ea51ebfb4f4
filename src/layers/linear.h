// The layers room: the pieces that a decoder is made of, each a few weights and a call or two of ops.
// Activations are float32 matrices [num_tokens, features], or LinearInputs where a product reads them; the
// residual stream is added to in place. A layer owns its packed weights, is immutable once loaded and holds
// no state of a request; it allocates nothing while a step runs. It knows its own row of the layer table, not
// the model around it, and never switches on a weight's scheme.
#pragma once
#include <array>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "layers/weight_formats.h"
#include "model/tensor_list.h"
#include "ops/compute_stream.h"
#include "ops/matmul.h"
#include "packed/packed_store.h"
#include "tensor/tensor.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Where weights come from while a model is loaded. The checkpoint's names and shapes have been checked.
struct WeightSource {
  const Checkpoint& checkpoint;
  std::span<const TensorSpec> tensors;  // those of the layer that is being loaded; else all
  WeightFormats formats;
  ComputeStream& stream;
  PackedStore* store = nullptr;  // asked for packed weights first, handed those that it has not; null: none
};

// A tensor of the list as floats of the host: norm weights, biases.
Result<std::vector<float>> load_vector(const WeightSource& source, const TensorSpec& tensor);
// A matrix of the list as one packed weight.
Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source, const TensorSpec& tensor);

// Columns [begin, begin + count) of a wider matrix of float32.
inline Tensor columns_of(const Tensor& matrix, int64_t begin, int64_t count) {
  Tensor view = matrix;
  view.data = matrix.row<float>(0) + begin;
  view.shape[1] = count;
  return view;
}

// Adjacent outputs of a Linear that are packed in one format.
struct PackedPart {
  std::unique_ptr<PackedWeight> weight;
  DeviceBuffer bias;  // in packed order; empty: none
};

// Rows that a Linear reads, in the form that each of its parts asks for.
class LinearInput {
 public:
  explicit LinearInput(int64_t rows) : rows_(rows) {}
  void add(const MatmulInput& form) {
    PAGODA_DCHECK(num_forms_ < forms_.size(), "a form for each part");
    forms_[num_forms_++] = form;
  }
  int64_t rows() const { return rows_; }
  std::span<const MatmulInput> forms() const { return {forms_.data(), num_forms_}; }
  // The rows as a matrix that an op may write to, where that is all there is to them; nullopt: write float32
  // elsewhere and convert().
  std::optional<Tensor> in_place() const { return num_forms_ == 1 ? forms_[0].in_place : std::nullopt; }
  // From x: [rows, k] float32.
  void convert(const Tensor& x, ComputeStream& stream) const {
    for (const MatmulInput& form : forms()) convert_input(form, x, stream);
  }

 private:
  int64_t rows_;
  std::size_t num_forms_ = 0;
  std::array<MatmulInput, kLinearPartsMax> forms_;
};

// y = x W^T + b. Several projections of the same input are one product for each run of neighbours that are
// packed alike: one in all where all are.
class Linear {
 public:
  // The matrices of these roles, one under the other, with the biases that the list has for them. gated: two
  // of them, for an epilogue that joins them; they are one part, of plain numbers if their formats differ.
  static Result<Linear> load(const WeightSource& source, std::initializer_list<TensorRole> roles,
                             bool gated = false, int32_t expert = -1);

  // Room for num_tokens rows of what this layer reads.
  LinearInput input(const DeviceBuffer& room, int64_t num_tokens) const;
  std::size_t input_bytes(int64_t num_tokens) const;

  // y: [num_tokens, out features] float32; gated: [num_tokens, out features / 2], float32 or bfloat16.
  void forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, ComputeStream& stream) const;
  std::size_t bytes() const;
  std::span<const PackedPart> parts() const { return parts_; }

 private:
  std::vector<PackedPart> parts_;  // 1 to kLinearPartsMax
};

}  // namespace pagoda
