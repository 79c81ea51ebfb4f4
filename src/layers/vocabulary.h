#pragma once
#include "layers/linear.h"
#include "ops/gather.h"

namespace pagoda {

// Ids to rows at the start, rows to logits at the end; a tied head is the same matrix, held once.
class Vocabulary {
 public:
  // tied: the head is the embedding's matrix.
  static Result<Vocabulary> load(const WeightSource& source, bool tied) {
    Vocabulary vocabulary;
    PAGODA_TRY(vocabulary.table_, load_matrix(source, TensorRole::kEmbedding));
    if (!tied) {
      PAGODA_TRY(vocabulary.head_, load_matrix(source, TensorRole::kHead));
    }
    return vocabulary;
  }

  // y: [num_tokens, hidden], times `scale`. Requires: ids within the vocabulary.
  void embed(const Tensor& y, DeviceSpan<const int32_t> ids, float scale, ComputeStream& stream) const {
    embedding(y, ids, *table_, scale, stream);
  }
  // Room for what logits() reads.
  MatmulInput input(const DeviceBuffer& room, int64_t num_rows) const {
    return make_input(head(), room.span<std::byte>(), num_rows);
  }
  std::size_t input_bytes(int64_t num_rows) const { return pagoda::input_bytes(head(), num_rows); }
  // out: [num_rows, vocab] float32.
  void logits(const Tensor& out, const MatmulInput& x, ComputeStream& stream) const {
    matmul(out, x, head(), {}, Epilogue::kStore, stream);
  }
  std::size_t bytes() const { return table_->bytes() + (head_ ? head_->bytes() : 0); }
  const PackedWeight& head() const { return head_ ? *head_ : *table_; }

 private:
  static Result<std::unique_ptr<PackedWeight>> load_matrix(const WeightSource& source, TensorRole role) {
    const TensorSpec* tensor = find_tensor(source.tensors, role);
    PAGODA_CHECK(tensor != nullptr, "a matrix of the list");
    return load_packed(source, *tensor);
  }

  std::unique_ptr<PackedWeight> table_, head_;  // head_ null: tied
};

}  // namespace pagoda
