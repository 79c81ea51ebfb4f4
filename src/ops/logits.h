#pragma once
#include <cstdint>
#include <span>

#include "ops/compute_stream.h"

namespace pagoda {

struct RowMax {
  float value;
  int32_t index;   // the lowest of equal ones
  bool is_finite;  // no NaN and no +infinity in the row; -infinity is a token that cannot be. Else the rest
                   // is void
};
// The largest of each row, and whether the row can be sampled from. out: host memory, filled when this
// returns, [rows]. logits: [rows, vocab] float32. Requires: vocab > 0.
void argmax(std::span<RowMax> out, const Tensor& logits, ComputeStream& stream);

// out[i] = logits[rows[i]] with -infinity for each token whose bit is 0: bit (token % 32) of
// masks[i * ceil(vocab / 32) + token / 32]. out: [rows.size, vocab], logits: [any, vocab] float32. Requires:
// rows within logits; out and logits do not overlap.
void mask_logits(const Tensor& out, const Tensor& logits, DeviceSpan<const int32_t> rows,
                 DeviceSpan<const uint32_t> masks, ComputeStream& stream);

}  // namespace pagoda
