#pragma once
#include <string>

#include "layers/linear.h"
#include "ops/embedding.h"

namespace pagoda {

// Ids to rows at the start, rows to logits at the end; a tied head is the same matrix, held once.
class Vocabulary {
 public:
  // head: empty if tied. Names without `.weight`.
  static Result<Vocabulary> load(const WeightSource& source, const std::string& embedding,
                                 const std::string& head) {
    Vocabulary vocabulary;
    const std::string table = embedding + ".weight", head_weight = head + ".weight";
    PAGODA_TRY(vocabulary.table_, load_packed(source, {&table, 1}));
    if (!head.empty()) {
      PAGODA_TRY(vocabulary.head_, load_packed(source, {&head_weight, 1}));
    }
    return vocabulary;
  }

  // y: [num_tokens, hidden]. Requires: ids within the vocabulary.
  void embed(const Tensor& y, const int32_t* ids, Stream& stream) const {
    embedding(y, ids, *table_, stream);
  }
  // out: [num_rows, vocab], x: [num_rows, hidden].
  void logits(const Tensor& out, const Tensor& x, Stream& stream) const {
    matmul(out, x, head_ ? *head_ : *table_, nullptr, false, stream);
  }
  std::size_t bytes() const { return table_->bytes() + (head_ ? head_->bytes() : 0); }

 private:
  std::unique_ptr<PackedWeight> table_, head_;  // head_ null: tied
};

}  // namespace pagoda
