#include "ops/gather.h"

#include <cstring>

#include "ops/cpu/ops.h"
#include "ops/cpu/packed_weight.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {

void embedding(const Tensor& y, DeviceSpan<const int32_t> input_ids, const PackedWeight& table, float scale,
               ComputeStream& stream) {
  const PanelWeight& weight = panels_of(table);
  const PanelLayout& layout = weight.layout();
  split(stream, y.rows(), table.k() * 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = input_ids.data[t];
      PAGODA_CHECK(id >= 0 && id < table.n(), "token id outside of the embedding table");
      float* row = y.row<float>(t);
      kernels().matmul.gather(layout.dot, row, weight.panel(id / kPanel), id % kPanel, layout.steps,
                              layout.group_words, table.k());
      if (const float* column_scale = weight.column_scale())
        for (int64_t i = 0; i < table.k(); ++i) row[i] = row[i] * column_scale[i];
      if (scale != 1)
        for (int64_t i = 0; i < table.k(); ++i) row[i] = row[i] * scale;
    }
  });
}

void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream) {
  split(stream, rows.size, x.columns(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      PAGODA_CHECK(rows.data[i] >= 0 && rows.data[i] < x.rows(), "a row of the matrix");
      std::memcpy(y.row<float>(i), x.row<float>(rows.data[i]),
                  static_cast<std::size_t>(x.columns()) * sizeof(float));
    }
  });
}

}  // namespace pagoda::cpu
