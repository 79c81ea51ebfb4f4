#include "ops/matmul.h"

#include <cstring>

#include "ops/cpu/packed_weight.h"

namespace pagoda {
namespace {

using namespace cpu;

int64_t round_to_line(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

struct InputLayout {
  int64_t row_bytes, num_groups, scale_offset, sums_offset, total;
};

InputLayout input_layout(const PanelLayout& weight, int64_t rows) {
  InputLayout layout{};
  const bool is_integer = weight.dot >= Dot::kInt8;
  // One cache line more than needed: rows a power of two apart would share the sets of the cache.
  layout.row_bytes = round_to_line(weight.words * 4) + 64;
  layout.num_groups = weight.group_words > 0 ? weight.steps : 1;
  layout.scale_offset = rows * layout.row_bytes;
  layout.sums_offset = layout.scale_offset + (is_integer ? round_to_line(rows * 4) : 0);
  layout.total = layout.sums_offset + (is_integer ? round_to_line(rows * layout.num_groups * 4) : 0);
  return layout;
}

Write write_of(Epilogue epilogue, DType dtype) {
  const bool is_bf16 = dtype == DType::kBF16;
  PAGODA_CHECK(is_bf16 || dtype == DType::kF32, "products are float32 or bfloat16");
  switch (epilogue) {
    case Epilogue::kStore:
      return is_bf16 ? Write::kStoreBf16 : Write::kStore;
    case Epilogue::kSiluMul:
      return is_bf16 ? Write::kSiluMulBf16 : Write::kSiluMul;
    case Epilogue::kGeluMul:
      return is_bf16 ? Write::kGeluMulBf16 : Write::kGeluMul;
    case Epilogue::kAdd:
      break;
  }
  PAGODA_CHECK(!is_bf16, "sums are kept in float32");
  return Write::kAdd;
}

MatmulTask task_of(const Tensor& y, const MatmulInput& x, const PanelWeight& weight, const float* bias,
                   Epilogue epilogue, const CpuTuning& tuning) {
  const PanelLayout& layout = weight.layout();
  MatmulTask task{};
  task.dot = layout.dot;
  task.write = write_of(epilogue, y.dtype);
  task.x_stride = x.row_bytes / 4;
  task.x_groups = x.num_groups;
  task.panels = weight.payload().data();
  task.panel_bytes = layout.panel_bytes;
  task.steps = layout.steps;
  task.group_words = layout.group_words;
  task.n = weight.n();
  task.bias = bias;
  task.y_stride = y.row_stride;
  task.near_bytes = tuning.near_bytes;
  task.near_past_l2 = tuning.near_past_l2 != 0;
  task.tile_rows = tuning.tile_rows;
  task.slice_words = tuning.slice_words;
  return task;
}

// Rows [row, row + m) of x and y.
void set_rows(MatmulTask* task, const Tensor& y, const MatmulInput& x, int64_t row, int64_t m) {
  task->m = m;
  task->x = reinterpret_cast<const uint32_t*>(x.data + row * x.row_bytes);
  task->x_scale = x.scale == nullptr ? nullptr : x.scale + row;
  task->x_offset_sums = x.offset_sums == nullptr ? nullptr : x.offset_sums + row * x.num_groups;
  task->y = static_cast<std::byte*>(y.data) + row * y.row_stride * static_cast<int64_t>(dtype_bytes(y.dtype));
}

}  // namespace

std::size_t input_bytes(const PackedWeight& weight, int64_t rows) {
  return static_cast<std::size_t>(input_layout(panels_of(weight).layout(), rows).total);
}

std::size_t input_bytes_most(int64_t k, int64_t rows) {
  // float32 rows are the largest but for padding: to 128 inputs, to a cache line, and scale and sums in whole
  // lines.
  return static_cast<std::size_t>(rows * (round_to_line(4 * k) + 1024) + 128);
}

MatmulInput make_input(const PackedWeight& weight, void* memory, int64_t rows) {
  const PanelWeight& panels = panels_of(weight);
  const InputLayout layout = input_layout(panels.layout(), rows);
  MatmulInput input{rows, weight.k(), weight.header().format};
  input.data = static_cast<std::byte*>(memory);
  input.row_bytes = layout.row_bytes;
  input.num_groups = layout.num_groups;
  if (panels.layout().dot >= Dot::kInt8) {
    input.scale = reinterpret_cast<float*>(input.data + layout.scale_offset);
    input.offset_sums = reinterpret_cast<int32_t*>(input.data + layout.sums_offset);
    input.column_scale = panels.column_scale();
  }
  return input;
}

std::optional<Tensor> MatmulInput::in_place() const {
  const bool is_bf16 = format.scheme == WeightScheme::kBF16;
  if (scale != nullptr || (is_bf16 && k % 2 != 0)) return std::nullopt;  // an odd row ends with a zero
  Tensor view = Tensor::matrix(data, is_bf16 ? DType::kBF16 : DType::kF32, rows, k);
  view.row_stride = row_bytes / static_cast<int64_t>(dtype_bytes(view.dtype));
  return view;
}

namespace cpu {

void convert_row(const MatmulInput& input, int64_t row, const float* x) {
  std::byte* out = input.data + row * input.row_bytes;
  switch (input.format.scheme) {
    case WeightScheme::kF32:
    case WeightScheme::kF16:
      if (reinterpret_cast<const float*>(out) != x)
        std::memcpy(out, x, static_cast<std::size_t>(input.k) * sizeof(float));
      return;
    case WeightScheme::kBF16:
      return kernels().rows.narrow(reinterpret_cast<uint16_t*>(out), x, input.k);
    case WeightScheme::kInt8:
    case WeightScheme::kInt4: {
      const int64_t unit = input.format.scheme == WeightScheme::kInt8 ? 4 : input.format.group_columns;
      const int64_t padded = (input.k + unit - 1) / unit * unit;
      const int32_t offset = input.format.scheme == WeightScheme::kInt8 ? -128
                             : input.format.zero_points                 ? 1
                                                                        : -8;
      input.scale[row] = kernels().rows.quantize(
          reinterpret_cast<int8_t*>(out), input.offset_sums + row * input.num_groups, offset, x,
          input.column_scale, input.k, padded, input.num_groups > 1 ? unit : padded);
      return;
    }
  }
}

}  // namespace cpu

void convert_input(const MatmulInput& input, const Tensor& x, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  check_matrix(x, input.rows, input.k);
  split(stream, input.rows, 8 * input.k, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) convert_row(input, row, x.row<float>(row));
  });
}

namespace cpu {

void multiply_panels(const Tensor& y, const MatmulInput& x, const PanelWeight& weight, const float* bias,
                     Epilogue epilogue, int64_t first, int64_t num_panels, ComputeStream& stream) {
  const CpuTuning& tuning = stream.tuning();
  const int64_t num_tokens = x.rows, block = std::min(tuning.block_rows, kMaxRows);
  // Threads take neighbouring panels: columns of y, never a part of k.
  const int64_t work = std::min(num_tokens, block) * weight.k() * kPanel;
  int64_t most = stream.pool().num_threads();
  if (num_tokens <= kFewRows && tuning.stream_threads > 0) most = std::min(most, tuning.stream_threads);
  const int64_t workers =
      std::clamp<int64_t>(num_panels * work / tuning.work_per_thread, 1, std::min(most, num_panels));
  stream.share_out(num_panels, workers, [&](int64_t begin, int64_t end, int worker) {
    MatmulTask task = task_of(y, x, weight, bias, epilogue, tuning);
    task.panel_begin = first + begin;
    task.panel_end = first + end;
    task.partial_sums = static_cast<uint32_t*>(
        stream.scratch(worker, static_cast<std::size_t>(block * kPanel) * sizeof(uint32_t)));
    for (int64_t row = 0; row < num_tokens; row += block) {
      set_rows(&task, y, x, row, std::min(block, num_tokens - row));
      kernels().matmul.matmul(task);
    }
  });
}

}  // namespace cpu

void matmul(const Tensor& y, const MatmulInput& x, const PackedWeight& w, const float* bias,
            Epilogue epilogue, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kLinear);
  const PanelWeight& weight = panels_of(w);
  if (x.rows == 0) return;
  const int64_t columns = is_gated(epilogue) ? w.n() / 2 : w.n();
  PAGODA_CHECK(x.k == w.k() && x.format == w.header().format, "an input made for another weight");
  PAGODA_CHECK(w.header().is_gated == is_gated(epilogue), "gated weights, and only those, join two halves");
  PAGODA_CHECK(y.rank == 2 && y.rows() == x.rows && y.columns() == columns && y.row_stride >= columns,
               "the product has another shape than its place");
  multiply_panels(y, x, weight, bias, epilogue, 0, weight.layout().num_panels, stream);
}

}  // namespace pagoda
