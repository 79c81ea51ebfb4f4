#include "ops/embedding.h"

#include "ops/cpu/packed_weight.h"

namespace pagoda {

void embedding(const Tensor& y, const int32_t* input_ids, const PackedWeight& table, Stream& stream) {
  using namespace cpu;
  const PanelWeight& weight = panels_of(table);
  check_matrix(y, y.rows(), table.k());
  split(stream, y.rows(), table.k() * 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = input_ids[t];
      PAGODA_CHECK(id >= 0 && id < table.n(), "token id outside of the embedding table");
      const std::byte* row =
          weight.panel(id / kLanes) + id % kLanes * static_cast<int64_t>(dtype_bytes(weight.dtype()));
      kernels().matmul.gather(elem_of(weight.dtype()), y.row<float>(t), row, kLanes, table.k());
    }
  });
}

}  // namespace pagoda
