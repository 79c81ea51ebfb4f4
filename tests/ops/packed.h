// What the tests of products share: weights at hostile addresses, inputs, and the product read off the
// documented layout of panels in plain scalar code, without any of the code under test.
#pragma once
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "ops/cpu/input.h"
#include "ops/cpu/run.h"
#include "ops/matmul.h"
#include "tests/ops/guarded.h"

namespace pagoda {
inline void PrintTo(const WeightFormat& format, std::ostream* out) {  // in messages of GoogleTest
  *out << format_name(format);
}
}  // namespace pagoda

namespace pagoda::testing {

inline constexpr WeightFormat kF32Format{WeightScheme::kF32}, kF16Format{WeightScheme::kF16},
    kBF16Format{WeightScheme::kBF16}, kInt8Format{WeightScheme::kInt8};
inline constexpr WeightFormat kFormats[] = {kF32Format,
                                            kF16Format,
                                            kBF16Format,
                                            kInt8Format,
                                            {WeightScheme::kInt4, 128, false},
                                            {WeightScheme::kInt4, 32, false},
                                            {WeightScheme::kInt4, 128, true},
                                            {WeightScheme::kInt4, 32, true}};
inline bool is_integer(const WeightFormat& format) {
  return format.scheme == WeightScheme::kInt8 || format.scheme == WeightScheme::kInt4;
}
// Of the numbers that a format is packed from in these tests.
inline DType stored_dtype(const WeightFormat& format) {
  if (format.scheme == WeightScheme::kF16) return DType::kF16;
  return format.scheme == WeightScheme::kBF16 ? DType::kBF16 : DType::kF32;
}

// A weight at an odd address that ends at an unreadable page, and its values.
struct StoredMatrix {
  StoredMatrix(int64_t rows, int64_t columns, DType type, Random& random, float scale = 1)
      : dtype(type), n(rows), k(columns), values(rows, columns) {
    for (int64_t i = 0; i < n * k; ++i) values.row(i / k)[i % k] = scale * random.normal();
    store();
  }
  // Takes over changed `values`, rounded to the dtype.
  void store() {
    const auto element = static_cast<int64_t>(dtype_bytes(dtype));
    bytes = std::make_unique<Guarded<std::byte>>(n * k * element + 1);
    for (int64_t i = 0; i < n * k; ++i) {
      float& value = values.row(i / k)[i % k];
      value = rounded_to(dtype, value);
      uint16_t half = dtype == DType::kBF16 ? float_to_bf16(value) : float_to_f16(value);
      const void* from = dtype == DType::kF32 ? static_cast<const void*>(&value) : &half;
      std::memcpy(bytes->data() + i * element, from, static_cast<std::size_t>(element));
    }
  }
  Weight tensor() {
    return plain_weight("w", dtype, n, k, {bytes->data(), static_cast<std::size_t>(bytes->size() - 1)});
  }
  Result<std::unique_ptr<PackedWeight>> try_pack(const WeightFormat& format, ComputeStream& stream) {
    Weight part = tensor();
    return pack_weight({&part, 1}, format, false, stream);
  }
  std::unique_ptr<PackedWeight> pack(const WeightFormat& format, ComputeStream& stream) {
    return std::move(*try_pack(format, stream));
  }
  std::unique_ptr<PackedWeight> pack(ComputeStream& stream) { return pack(unquantized(dtype), stream); }
  DType dtype;
  int64_t n, k;
  Matrix values;
  std::unique_ptr<Guarded<std::byte>> bytes;
};

// Rows of x as a weight's kernels read them, made by convert_input(), then moved to where every row ends at
// its neighbour and the last one at an unreadable page: no kernel may read the padding of a row.
class Input {
 public:
  Input(const PackedWeight& weight, Matrix& x, ComputeStream& stream)
      : memory_(static_cast<int64_t>(input_bytes(weight, x.rows()))),
        loose_(weight.input_at(memory_.data(), x.rows())),
        words_(words_of(weight)) {
    convert_input(loose_, x.tensor(), stream);
    rows_ = std::make_unique<Guarded<uint32_t>>(words_ * x.rows());
    cpu::RowLayout layout = cpu::layout_of(loose_);
    for (int64_t t = 0; t < x.rows(); ++t)
      std::memcpy(rows_->data() + t * words_, layout.data + t * layout.row_bytes,
                  static_cast<std::size_t>(words_) * 4);
    layout.data = reinterpret_cast<std::byte*>(rows_->data());
    layout.row_bytes = words_ * 4;
    tight_ = loose_;
    cpu::set_layout(&tight_, layout);
  }
  const MatmulInput& loose() const { return loose_; }  // as make_input() lays it out
  const MatmulInput& tight() const { return tight_; }
  const uint32_t* words(int64_t row) const { return rows_->data() + row * words_; }
  float scale(int64_t row) const { return cpu::layout_of(loose_).scale[row]; }

  // 32-bit words that a row has: the documented step of the format, without padding between rows.
  static int64_t words_of(const PackedWeight& weight) {
    const WeightFormat& format = weight.header().format;
    auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    switch (format.scheme) {
      case WeightScheme::kBF16:
        return ceil_div(weight.k(), 2);
      case WeightScheme::kInt8:
        return ceil_div(weight.k(), 4);
      case WeightScheme::kInt4:
        return ceil_div(weight.k(), format.group_columns) * format.group_columns / 4;
      default:
        return weight.k();
    }
  }

 private:
  Guarded<std::byte> memory_;
  MatmulInput loose_, tight_;
  int64_t words_;
  std::unique_ptr<Guarded<uint32_t>> rows_;
};

// Where output `row` of a weight's rows stands: 64 outputs to a panel; of a gated weight 32 of the gate, then
// the 32 of the other half that they are multiplied with.
struct Place {
  int64_t panel, lane;
};
inline Place place_of(const PackedWeight& weight, int64_t row) {
  if (!weight.header().is_gated) return {row / 64, row % 64};
  const int64_t half = weight.n() / 2, output = row % half;
  return {output / 32, output % 32 + (row < half ? 0 : 32)};
}

// A packed weight read as its header documents it (ops/cpu/matmul_kernels.h).
class Panels {
 public:
  explicit Panels(const PackedWeight& weight)
      : weight_(weight), format_(weight.header().format), words_(Input::words_of(weight)) {
    switch (format_.scheme) {
      case WeightScheme::kF16:
        panel_bytes_ = words_ * 128;
        break;
      case WeightScheme::kInt8:
        panel_bytes_ = words_ * 256 + 256;
        break;
      case WeightScheme::kInt4:
        group_bytes_ = format_.group_columns * 32 + 128 + (format_.zero_points ? 64 : 0);
        panel_bytes_ = words_ * 4 / format_.group_columns * group_bytes_;
        break;
      default:
        panel_bytes_ = words_ * 256;
    }
  }
  // The product of x's row `t` with output `row`, before bias and epilogue, as matmul.h promises its sum.
  float product(int64_t row, const Input& x, int64_t t) const {
    const uint32_t* words = x.words(t);
    switch (format_.scheme) {
      case WeightScheme::kF32:
      case WeightScheme::kF16: {
        float sum = 0;
        for (int64_t i = 0; i < words_; ++i) sum = std::fma(as_float(words[i]), weight_at(row, i), sum);
        return sum;
      }
      case WeightScheme::kBF16: {
        float sum = 0;
        for (int64_t i = 0; i < words_; ++i) {  // the odd one of a pair first
          sum = std::fma(as_float(words[i] & 0xFFFF0000u), weight_at(row, 2 * i + 1), sum);
          sum = std::fma(as_float(words[i] << 16), weight_at(row, 2 * i), sum);
        }
        return sum;
      }
      case WeightScheme::kInt8: {
        int64_t sum = 0;
        for (int64_t i = 0; i < words_ * 4; ++i) sum += int64_t{code(row, i) - 128} * input_code(words, i);
        return static_cast<float>(sum) * scale(row, 0) * x.scale(t);
      }
      case WeightScheme::kInt4:
        return int4_product(row, words) * x.scale(t);
    }
    return 0;
  }
  // The weight that a code stands for, for inputs that have been multiplied by column_scale(i).
  float weight_at(int64_t row, int64_t i) const {
    const Place place = place_of(weight_, row);
    switch (format_.scheme) {
      case WeightScheme::kF32:
        return at<float>(place, (i * 64 + place.lane) * 4);
      case WeightScheme::kF16:
        return f16_to_float(at<uint16_t>(place, (i * 64 + place.lane) * 2));
      case WeightScheme::kBF16:
        return bf16_to_float(at<uint16_t>(place, (i / 2 * 64 + place.lane) * 4 + i % 2 * 2));
      case WeightScheme::kInt8:
        return static_cast<float>(code(row, i) - 128) * scale(row, 0);
      case WeightScheme::kInt4: {
        const int64_t group = i / format_.group_columns;
        return static_cast<float>(code(row, i) - zero_point(row, group)) * scale(row, group);
      }
    }
    return 0;
  }
  int code(int64_t row, int64_t i) const {
    const Place place = place_of(weight_, row);
    if (format_.scheme == WeightScheme::kInt8)
      return at<uint8_t>(place, (i / 4 * 64 + place.lane) * 4 + i % 4);
    const int64_t group = i / format_.group_columns, in_group = i % format_.group_columns;
    const uint8_t pair =
        at<uint8_t>(place, group * group_bytes_ + (in_group / 8 * 64 + place.lane) * 4 + in_group % 4);
    return in_group % 8 < 4 ? pair & 15 : pair >> 4;
  }
  float scale(int64_t row, int64_t group) const {
    const Place place = place_of(weight_, row);
    if (format_.scheme == WeightScheme::kInt8) return at<float>(place, words_ * 256 + place.lane * 4);
    return f16_to_float(
        at<uint16_t>(place, group * group_bytes_ + format_.group_columns * 32 + place.lane * 2));
  }
  int zero_point(int64_t row, int64_t group) const {
    const Place place = place_of(weight_, row);
    if (!format_.zero_points) return 8;
    return at<uint8_t>(place, group * group_bytes_ + format_.group_columns * 32 + 128 + place.lane);
  }
  // What input i is multiplied by before it is quantized: behind the panels.
  float column_scale(int64_t i) const {
    if (!is_integer(format_)) return 1;
    float scale;
    std::memcpy(&scale, weight_.payload().data + weight_.bytes() - (weight_.k() - i) * 4, sizeof scale);
    return scale;
  }
  int64_t padded_k() const { return is_integer(format_) ? words_ * 4 : weight_.k(); }

 private:
  static float as_float(uint32_t word) {
    float number;
    std::memcpy(&number, &word, sizeof number);
    return number;
  }
  static int input_code(const uint32_t* words, int64_t i) {
    return reinterpret_cast<const int8_t*>(words)[i];
  }
  float int4_product(int64_t row, const uint32_t* words) const {
    float total = 0;
    for (int64_t group = 0; group < words_ * 4 / format_.group_columns; ++group) {
      int64_t sum = 0;
      for (int64_t i = group * format_.group_columns; i < (group + 1) * format_.group_columns; ++i)
        sum += int64_t{code(row, i) - zero_point(row, group)} * input_code(words, i);
      total = std::fma(static_cast<float>(sum), scale(row, group), total);
    }
    return total;
  }
  template <class T>
  T at(const Place& place, int64_t offset) const {
    T value;
    std::memcpy(&value, weight_.payload().data + place.panel * panel_bytes_ + offset, sizeof value);
    return value;
  }

  const PackedWeight& weight_;
  WeightFormat format_;
  int64_t words_, panel_bytes_ = 0, group_bytes_ = 0;
};

}  // namespace pagoda::testing
