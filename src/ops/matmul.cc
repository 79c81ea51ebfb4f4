#include "ops/matmul.h"

#include <limits>
#include <new>
#include <string>
#include <vector>

#include "ops/cpu/pack.h"
#include "ops/cpu/packed_weight.h"

namespace pagoda {
namespace {

using namespace cpu;

std::string describe(const QuantTensor& part) {
  return "'" + part.name + "' (" + dtype_name(part.dtype) + " [" + std::to_string(part.rows) + ", " +
         std::to_string(part.columns) + "])";
}

Status check_part(const QuantTensor& part, const QuantTensor& first) {
  if (part.scheme != QuantScheme::kNone || !is_kernel_dtype(part.dtype))
    return invalid_argument("weight " + describe(part) + ": the CPU kernels take F32, BF16 and F16");
  if (part.rows <= 0 || part.columns <= 0) return invalid_argument("weight " + describe(part) + " is empty");
  if (part.columns != first.columns || part.dtype != first.dtype)
    return invalid_argument("weights " + describe(first) + " and " + describe(part) +
                            " are multiplied together and must agree in columns and dtype");
  const auto limit = std::numeric_limits<int64_t>::max() / 8;
  if (part.rows > limit / part.columns ||
      part.data.size() != static_cast<std::size_t>(part.rows * part.columns) * dtype_bytes(part.dtype))
    return invalid_argument("weight " + describe(part) + " has " + std::to_string(part.data.size()) +
                            " bytes, which is not what its shape asks for");
  return {};
}

void pack_rows(PanelWeight* weight, std::span<const QuantTensor> parts, Stream& stream) {
  const int64_t k = weight->k(), row_bytes = k * static_cast<int64_t>(dtype_bytes(weight->dtype()));
  std::vector<const std::byte*> rows;
  rows.reserve(static_cast<std::size_t>(weight->n()));
  for (const QuantTensor& part : parts)
    for (int64_t row = 0; row < part.rows; ++row) rows.push_back(part.data.data() + row * row_bytes);
  split(stream, weight->num_panels(), kLanes * k, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kLanes, count = std::min(kLanes, weight->n() - first);
      pack_panel(weight->panel(panel), rows.data() + first, count, k, dtype_bytes(weight->dtype()));
    }
  });
}

}  // namespace

Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const QuantTensor> parts, Stream& stream) {
  if (parts.empty()) return invalid_argument("no weight to pack");
  int64_t n = 0, k = parts.front().columns;
  for (const QuantTensor& part : parts) {
    PAGODA_RETURN_IF_ERROR(check_part(part, parts.front()));
    n += part.rows;
  }
  try {
    auto weight = std::make_unique<PanelWeight>(n, k, parts.front().dtype);
    pack_rows(weight.get(), parts, stream);
    return std::unique_ptr<PackedWeight>(std::move(weight));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory to pack weight " + describe(parts.front()));
  }
}

void matmul(const Tensor& y, const Tensor& x, const PackedWeight& w, const float* bias, bool accumulate,
            Stream& stream) {
  const PanelWeight& weight = panels_of(w);
  const int64_t num_tokens = x.rows();
  if (num_tokens == 0) return;
  check_matrix(x, num_tokens, w.k());
  check_matrix(y, num_tokens, w.n());
  // Threads take whole groups of panels: neighbouring columns of y, never a part of k.
  const int64_t group = num_tokens == 1 ? kMaxGroup : kMaxGroup / 2;
  const int64_t num_panels = weight.num_panels(), num_groups = (num_panels + group - 1) / group;
  const int64_t work = std::min(num_tokens, kMaxRows) * w.k() * kLanes * group;
  const int64_t workers = std::clamp<int64_t>(num_groups * work / kWorkPerThread, 1,
                                              std::min<int64_t>(stream.pool().num_threads(), num_groups));
  auto job = [&](int64_t worker) {
    if (worker >= workers) return;
    MatmulTask task{elem_of(weight.dtype()), accumulate, nullptr, x.row_stride, 0,
                    weight.panel(0),         w.n(),      w.k()};
    task.panel_begin = num_groups * worker / workers * group;
    task.panel_end = std::min(num_panels, num_groups * (worker + 1) / workers * group);
    task.bias = bias;
    task.y_stride = y.row_stride;
    task.park = static_cast<float*>(stream.scratch(
        static_cast<int>(worker), static_cast<std::size_t>(kMaxRows * kMaxGroup * kLanes) * sizeof(float)));
    for (int64_t row = 0; row < num_tokens; row += kMaxRows) {
      task.m = std::min(kMaxRows, num_tokens - row);
      task.x = x.row<float>(row);
      task.y = y.row<float>(row);
      kernels().matmul.matmul(task);
    }
  };
  if (workers == 1) return job(0);
  stream.pool().run([&](int worker) { job(worker); });
}

}  // namespace pagoda
