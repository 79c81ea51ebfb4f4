#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "ops/cpu/dequantize.h"
#include "ops/cpu/ops.h"
#include "ops/cpu/packed_weight.h"
#include "ops/cpu/transpose.h"
#include "ops/matmul.h"

namespace pagoda::cpu {
namespace {

Status check_part(const Weight& part, const Weight& first, bool gated) {
  PAGODA_RETURN_IF_ERROR(check_weight(part));
  if (part.quant.scheme == QuantScheme::kNone && !is_kernel_dtype(part.dtype) && part.dtype != DType::kF64)
    return invalid_argument("weight " + describe(part) + ": weights of F32, BF16, F16 and F64 are taken");
  if (part.columns != first.columns || (gated && part.rows != first.rows))
    return invalid_argument("weights " + describe(first) + " and " + describe(part) +
                            " are multiplied together and must agree in columns" +
                            (gated ? ", and in rows" : ""));
  return {};
}

bool is_quantized(const WeightFormat& format) {
  return format.scheme == WeightScheme::kInt8 || format.scheme == WeightScheme::kInt4;
}

// Packs all panels of one weight; used once.
class Packer {
 public:
  Packer(std::span<const Weight> parts, const PackedWeight::Header& header, std::byte* out)
      : header_(header), layout_(header), out_(out) {
    for (const Weight& part : parts)
      for (int64_t row = 0; row < part.rows; ++row) {
        if (part.quant.scheme == QuantScheme::kNone)
          rows_.push_back({part.data.data() + row * part.row_stride, part.dtype});
        else
          rows_.push_back({.codes = &part, .row = row});
      }
    zeros_.resize(static_cast<std::size_t>(layout_.words * 4 + header.k * 4));
  }

  Status run(ComputeStream& stream) {
    if (is_quantized(header_.format)) PAGODA_RETURN_IF_ERROR(equalize_channels(stream));
    split(stream, layout_.num_panels, kPanel * header_.k, [&](int64_t begin, int64_t end) {
      Slab slab(layout_, header_);
      for (int64_t panel = begin; panel < end; ++panel) pack(panel, &slab);
    });
    if (overflows_)
      return invalid_argument(header_.format.scheme == WeightScheme::kF16
                                  ? "a weight is too large for float16: use --dtype bfloat16 or float32"
                                  : "a weight is too large for float32");
    return {};
  }

 private:
  // What one thread needs: 64 rows as floats, then in their packed element type.
  struct Slab {
    Slab(const PanelLayout& layout, const PackedWeight::Header& header)
        : floats(static_cast<std::size_t>(layout.padded_k)),
          elements(static_cast<std::size_t>(kPanel * (header.format.scheme == WeightScheme::kF32
                                                          ? header.k * 4
                                                          : std::max(layout.padded_k, header.k * 2)))) {}
    std::vector<float> floats;
    std::vector<std::byte> elements;
    const std::byte* rows[kPanel];
    float scales[kPanel];
  };

  // A row as its part has it: the parts of a product may differ in dtype and scheme.
  struct Row {
    const std::byte* data = nullptr;  // of numbers
    DType dtype = DType::kF32;
    const Weight* codes = nullptr;  // else row `row` of these
    int64_t row = 0;
    bool holds(WeightScheme scheme) const {
      return codes == nullptr && dtype != DType::kF64 && unquantized(dtype).scheme == scheme;
    }
  };
  Row source(int64_t panel, int64_t lane) const {
    const int64_t row = packed_row(header_, panel, lane);
    return row < 0 ? Row{zeros_.data(), DType::kF32} : rows_[static_cast<std::size_t>(row)];
  }
  void widen(const Row& row, float* out) {
    if (row.codes != nullptr) return dequantize_row(*row.codes, row.row, out);
    if (row.dtype != DType::kF64)
      return kernels().quantize.widen(elem_of(row.dtype), out, row.data, header_.k);
    for (int64_t i = 0; i < header_.k; ++i) {
      double number;
      std::memcpy(&number, row.data + i * static_cast<int64_t>(sizeof number), sizeof number);
      out[i] = static_cast<float>(number);
      if (std::isfinite(number) && !std::isfinite(out[i])) overflows_ = true;
    }
  }
  std::byte* panel_at(int64_t panel) const { return out_ + panel * layout_.panel_bytes; }

  // The root mean square of each column over its mean over all columns: inputs are multiplied by it, weights
  // divided.
  Status equalize_channels(ComputeStream& stream) {
    const auto k = static_cast<std::size_t>(header_.k);
    std::vector<float> squares(static_cast<std::size_t>(layout_.num_panels) * k);
    split(stream, layout_.num_panels, kPanel * header_.k, [&](int64_t begin, int64_t end) {
      std::vector<float> row(k);
      for (int64_t panel = begin; panel < end; ++panel)
        for (int64_t lane = 0; lane < kPanel; ++lane) {
          widen(source(panel, lane), row.data());
          kernels().quantize.add_squares(squares.data() + static_cast<std::size_t>(panel) * k, row.data(),
                                         header_.k);
        }
    });
    std::vector<double> sizes(k);
    double mean = 0;
    for (std::size_t i = 0; i < k; ++i) {
      double sum = 0;
      for (std::size_t panel = 0; panel < static_cast<std::size_t>(layout_.num_panels); ++panel)
        sum += static_cast<double>(squares[panel * k + i]);
      if (!std::isfinite(sum)) return invalid_argument("a weight is NaN or infinite: it cannot be quantized");
      sizes[i] = std::sqrt(sum);
      mean += sizes[i] / static_cast<double>(k);
    }
    auto* scale = reinterpret_cast<float*>(out_ + layout_.column_scale_offset);
    inverse_.resize(k);
    for (std::size_t i = 0; i < k; ++i) {
      constexpr double kMaxRatio = 1 << 14;  // a column of (almost) nothing stays so
      const double ratio = mean > 0 ? std::max(sizes[i] / mean, 1 / kMaxRatio) : 1;
      scale[i] = static_cast<float>(ratio);
      inverse_[i] = static_cast<float>(1 / ratio);
    }
    return {};
  }

  void pack(int64_t panel, Slab* slab) {
    switch (header_.format.scheme) {
      case WeightScheme::kInt8:
        return pack_int8(panel, slab);
      case WeightScheme::kInt4:
        return pack_int4(panel, slab);
      default:
        return pack_plain(panel, slab);
    }
  }

  void pack_plain(int64_t panel, Slab* slab) {
    const WeightScheme to = header_.format.scheme;
    const int64_t element = to == WeightScheme::kF32 ? 4 : 2, row_bytes = header_.k * element;
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const Row row = source(panel, lane);
      slab->rows[lane] = row.data;
      if (row.holds(to)) continue;
      slab->rows[lane] = slab->elements.data() + lane * row_bytes;
      convert_row(row, slab, slab->elements.data() + lane * row_bytes);
    }
    if (to == WeightScheme::kF16)
      transpose_halves(reinterpret_cast<uint16_t*>(panel_at(panel)), slab->rows, row_bytes);
    else
      transpose_words(reinterpret_cast<uint32_t*>(panel_at(panel)), slab->rows, row_bytes);
  }
  void convert_row(const Row& row, Slab* slab, std::byte* out) {
    widen(row, slab->floats.data());
    const auto count = static_cast<std::size_t>(header_.k);
    if (header_.format.scheme == WeightScheme::kF32) {
      std::memcpy(out, slab->floats.data(), count * sizeof(float));
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const float number = slab->floats[i];
      uint16_t bits = float_to_bf16(number);
      if (header_.format.scheme == WeightScheme::kF16) {
        bits = float_to_f16(number);
        if (std::isfinite(number) && std::isinf(f16_to_float(bits))) overflows_ = true;
      }
      std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
    }
  }

  void equalize_row(int64_t panel, int64_t lane, Slab* slab) {
    widen(source(panel, lane), slab->floats.data());
    kernels().quantize.scale(slab->floats.data(), inverse_.data(), header_.k);
  }

  void pack_int8(int64_t panel, Slab* slab) {
    std::memset(slab->elements.data(), 128, static_cast<std::size_t>(kPanel * layout_.padded_k));
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      std::byte* codes = slab->elements.data() + lane * layout_.padded_k;
      slab->rows[lane] = codes;
      equalize_row(panel, lane, slab);
      slab->scales[lane] =
          kernels().quantize.to_int8(reinterpret_cast<uint8_t*>(codes), slab->floats.data(), header_.k);
    }
    transpose_words(reinterpret_cast<uint32_t*>(panel_at(panel)), slab->rows, layout_.padded_k);
    std::memcpy(panel_at(panel) + layout_.steps * kPanel * 4, slab->scales, sizeof slab->scales);
  }

  void pack_int4(int64_t panel, Slab* slab) {
    const int64_t group = header_.format.group_columns, codes_bytes = group * kPanel / 2;
    const int64_t group_bytes = layout_.panel_bytes / layout_.steps, half = layout_.padded_k / 2;
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      equalize_row(panel, lane, slab);
      slab->rows[lane] = slab->elements.data() + lane * half;
      for (int64_t g = 0; g < layout_.steps; ++g) {
        std::byte* behind = panel_at(panel) + g * group_bytes + codes_bytes;
        uint8_t codes[128], zero;
        kernels().quantize.to_int4(codes, reinterpret_cast<uint16_t*>(behind) + lane, &zero,
                                   slab->floats.data() + g * group, group, header_.format.zero_points);
        if (header_.format.zero_points) behind[kPanel * 2 + lane] = static_cast<std::byte>(zero);
        auto* out = reinterpret_cast<uint8_t*>(slab->elements.data() + lane * half + g * group / 2);
        for (int64_t i = 0; i < group; i += 8)
          for (int64_t j = 0; j < 4; ++j)
            out[i / 2 + j] = static_cast<uint8_t>(codes[i + j] | codes[i + 4 + j] << 4);
      }
    }
    for (int64_t g = 0; g < layout_.steps; ++g) {
      const std::byte* rows[kPanel];
      for (int64_t lane = 0; lane < kPanel; ++lane) rows[lane] = slab->rows[lane] + g * group / 2;
      transpose_words(reinterpret_cast<uint32_t*>(panel_at(panel) + g * group_bytes), rows, group / 2);
    }
  }

  PackedWeight::Header header_;
  PanelLayout layout_;
  std::byte* out_;
  std::vector<Row> rows_;         // of all parts
  std::vector<std::byte> zeros_;  // a row of padding, of float32
  std::vector<float> inverse_;    // of the column scales
  std::atomic<bool> overflows_{false};
};

}  // namespace

PanelLayout::PanelLayout(const PackedWeight::Header& header) {
  const WeightFormat& format = header.format;
  const int64_t outputs =
      header.is_gated ? (header.n / 2 + kPanel / 2 - 1) / (kPanel / 2) * kPanel : header.n;
  num_panels = (outputs + kPanel - 1) / kPanel;
  auto ceil_to = [](int64_t a, int64_t b) { return (a + b - 1) / b * b; };
  group_words = 0;
  switch (format.scheme) {
    case WeightScheme::kF32:
    case WeightScheme::kF16:
      dot = format.scheme == WeightScheme::kF32 ? Dot::kF32 : Dot::kF16;
      padded_k = words = steps = header.k;
      panel_bytes = steps * kPanel * (dot == Dot::kF32 ? 4 : 2);
      break;
    case WeightScheme::kBF16:
      dot = Dot::kBF16;
      padded_k = ceil_to(header.k, 2);
      words = steps = padded_k / 2;
      panel_bytes = steps * kPanel * 4;
      break;
    case WeightScheme::kInt8:
      dot = Dot::kInt8;
      padded_k = ceil_to(header.k, 4);
      words = steps = padded_k / 4;
      panel_bytes = steps * kPanel * 4 + kPanel * 4;
      break;
    case WeightScheme::kInt4:
      dot = format.zero_points ? Dot::kInt4Zeros : Dot::kInt4;
      padded_k = ceil_to(header.k, format.group_columns);
      words = padded_k / 4;
      group_words = format.group_columns / 4;
      steps = padded_k / format.group_columns;
      panel_bytes = steps * (format.group_columns / 2 * kPanel + kPanel * (format.zero_points ? 3 : 2));
      break;
  }
  total_bytes = static_cast<std::size_t>(num_panels * panel_bytes);
  column_scale_offset = is_quantized(format) ? total_bytes : 0;
  if (column_scale_offset != 0) total_bytes += static_cast<std::size_t>(header.k) * sizeof(float);
}

int64_t packed_row(const PackedWeight::Header& header, int64_t panel, int64_t lane) {
  if (!header.is_gated) {
    const int64_t row = panel * kPanel + lane;
    return row < header.n ? row : -1;
  }
  constexpr int64_t kHalf = kPanel / 2;
  const int64_t output = panel * kHalf + lane % kHalf;
  return output >= header.n / 2 ? -1 : lane < kHalf ? output : header.n / 2 + output;
}

std::size_t packed_bytes(const PackedWeight::Header& header) {
  const WeightFormat& format = header.format;
  constexpr int64_t kMost = int64_t{1} << 31, kProductMost = int64_t{1} << 45;
  if (header.n <= 0 || header.k <= 0 || header.n > kMost || header.k > kMost ||
      header.n > kProductMost / header.k)
    return 0;
  if (static_cast<uint8_t>(format.scheme) > static_cast<uint8_t>(WeightScheme::kInt4)) return 0;
  const bool is_int4 = format.scheme == WeightScheme::kInt4;
  if (is_int4 ? format.group_columns != 32 && format.group_columns != 128
              : format.group_columns != 0 || format.zero_points)
    return 0;
  if (format.group_rows != 1) return 0;
  if (is_quantized(format) && header.k > kMaxK) return 0;
  if (header.is_gated && header.n % 2 != 0) return 0;
  return PanelLayout(header).total_bytes;
}

std::unique_ptr<PackedWeight> adopt_packed(const PackedWeight::Header& header,
                                           std::span<const std::byte> payload,
                                           std::shared_ptr<const void> owner, ComputeStream&) {
  return std::make_unique<PanelWeight>(
      header, DeviceSpan<const std::byte>{payload.data(), static_cast<int64_t>(payload.size())},
      std::move(owner));
}

Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const Weight> parts, const WeightFormat& format,
                                                  bool gated, ComputeStream& stream) {
  PackedWeight::Header header{0, parts.front().columns, format, gated};
  for (const Weight& part : parts) {
    PAGODA_RETURN_IF_ERROR(check_part(part, parts.front(), gated));
    header.n += part.rows;
  }
  const std::size_t bytes = packed_bytes(header);
  if (bytes == 0)
    return invalid_argument("weight " + describe(parts.front()) + " cannot be held as " +
                            format_name(format) +
                            (is_quantized(format) && header.k > kMaxK ? ": it has too many inputs" : ""));
  try {
    auto buffer = std::make_shared<DeviceBuffer>(DeviceBuffer::uninitialized(stream.memory(), bytes));
    Status status = Packer(parts, header, static_cast<std::byte*>(buffer->data())).run(stream);
    if (!status.ok()) return std::move(status).with_context("weight " + describe(parts.front()));
    const DeviceSpan<const std::byte> payload = buffer->span<const std::byte>();
    return std::unique_ptr<PackedWeight>(std::make_unique<PanelWeight>(header, payload, std::move(buffer)));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory to pack weight " + describe(parts.front()));
  }
}

DeviceBuffer pack_bias(const PackedWeight& weight, std::span<const float> bias, ComputeStream& stream) {
  const PanelLayout& layout = panels_of(weight).layout();
  const int64_t count = layout.num_panels * kPanel;
  DeviceBuffer packed(stream.memory(), static_cast<std::size_t>(count) * sizeof(float));
  auto* out = static_cast<float*>(packed.data());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = packed_row(weight.header(), i / kPanel, i % kPanel);
    if (row >= 0) out[i] = bias[static_cast<std::size_t>(row)];
  }
  return packed;
}

}  // namespace pagoda::cpu
