#include "ops/matmul.h"

#include <cstring>

#include "ops/cpu/input.h"
#include "ops/cpu/ops.h"
#include "ops/cpu/packed_weight.h"

namespace pagoda::cpu {
namespace {

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

MatmulTask task_of(const Tensor& y, const RowLayout& x, const PanelWeight& weight,
                   DeviceSpan<const float> bias, Epilogue epilogue, const CpuTuning& tuning) {
  const PanelLayout& layout = weight.layout();
  MatmulTask task{};
  task.dot = layout.dot;
  task.write = write_of(epilogue, y.dtype);
  task.x_stride = x.row_bytes / 4;
  task.x_groups = x.num_groups;
  task.panels = weight.panel(0);
  task.panel_bytes = layout.panel_bytes;
  task.steps = layout.steps;
  task.group_words = layout.group_words;
  task.n = weight.n();
  task.bias = bias.data;
  task.y_stride = y.row_stride;
  task.near_bytes = tuning.near_bytes;
  task.near_past_l2 = tuning.near_past_l2 != 0;
  task.tile_rows = tuning.tile_rows;
  task.slice_words = tuning.slice_words;
  return task;
}

// Rows [row, row + m) of x and y.
void set_rows(MatmulTask* task, const Tensor& y, const RowLayout& x, int64_t row, int64_t m) {
  task->m = m;
  task->x = reinterpret_cast<const uint32_t*>(x.data + row * x.row_bytes);
  task->x_scale = x.scale == nullptr ? nullptr : x.scale + row;
  task->x_offset_sums = x.offset_sums == nullptr ? nullptr : x.offset_sums + row * x.num_groups;
  task->y = static_cast<std::byte*>(y.data) + row * y.row_stride * static_cast<int64_t>(dtype_bytes(y.dtype));
}

}  // namespace

std::size_t PanelWeight::input_bytes(int64_t rows) const {
  return static_cast<std::size_t>(input_layout(layout_, rows).total);
}

std::size_t max_input_bytes(int64_t k, int64_t rows) {
  // float32 rows are the largest but for padding: to 128 inputs, to a cache line, and scale and sums in whole
  // lines.
  return static_cast<std::size_t>(rows * ((4 * k + 63) / 64 * 64 + 1024) + 128);
}

MatmulInput PanelWeight::input_at(void* memory, int64_t rows) const {
  const InputLayout layout = input_layout(layout_, rows);
  MatmulInput input{rows, k(), header().format};
  RowLayout row;
  row.data = static_cast<std::byte*>(memory);
  row.row_bytes = layout.row_bytes;
  row.num_groups = layout.num_groups;
  if (layout_.dot >= Dot::kInt8) {
    row.scale = reinterpret_cast<float*>(row.data + layout.scale_offset);
    row.offset_sums = reinterpret_cast<int32_t*>(row.data + layout.sums_offset);
    row.column_scale = column_scale();
  }
  set_layout(&input, row);
  return input;
}

void set_layout(MatmulInput* input, const RowLayout& layout) {
  std::memcpy(input->layout.bytes.data(), &layout, sizeof layout);
  const bool is_bf16 = input->format.scheme == WeightScheme::kBF16;
  input->in_place.reset();
  if (layout.scale != nullptr || (is_bf16 && input->k % 2 != 0)) return;  // an odd row ends with a zero
  Tensor view = Tensor::matrix(layout.data, is_bf16 ? DType::kBF16 : DType::kF32, input->rows, input->k);
  view.row_stride = layout.row_bytes / static_cast<int64_t>(dtype_bytes(view.dtype));
  input->in_place = view;
}

RowLayout layout_of(const MatmulInput& input) {
  RowLayout layout;
  std::memcpy(&layout, input.layout.bytes.data(), sizeof layout);
  return layout;
}

void convert_row(const MatmulInput& input, int64_t row, const float* x) {
  const RowLayout layout = layout_of(input);
  std::byte* out = layout.data + row * layout.row_bytes;
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
      layout.scale[row] = kernels().rows.quantize(
          reinterpret_cast<int8_t*>(out), layout.offset_sums + row * layout.num_groups, offset, x,
          layout.column_scale, input.k, padded, layout.num_groups > 1 ? unit : padded);
      return;
    }
  }
}

void convert_input(const MatmulInput& input, const Tensor& x, ComputeStream& stream) {
  split(stream, input.rows, 8 * input.k, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) convert_row(input, row, x.row<float>(row));
  });
}

void multiply_panels(const Tensor& y, const MatmulInput& input, const PanelWeight& weight,
                     DeviceSpan<const float> bias, Epilogue epilogue, int64_t first, int64_t num_panels,
                     CpuStream& stream) {
  const CpuTuning& tuning = stream.tuning();
  const RowLayout x = layout_of(input);
  const int64_t num_tokens = input.rows, block = std::min(tuning.block_rows, kMaxRows);
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

void matmul(const Tensor& y, const MatmulInput& x, const PackedWeight& w, DeviceSpan<const float> bias,
            Epilogue epilogue, ComputeStream& stream) {
  const PanelWeight& weight = panels_of(w);
  multiply_panels(y, x, weight, bias, epilogue, 0, weight.layout().num_panels, cpu_stream(stream));
}

}  // namespace pagoda::cpu
