#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"
#include "ops/compute_stream.h"
#include "tensor/weight.h"

namespace pagoda {

// How a weight matrix is held, and with it what its products multiply (docs/design/numerics.md):
//   kF32, kF16   float32 activations; weights widened exactly.
//   kBF16        activations rounded to bfloat16; products exact, sums in float32.
//   kInt8        weights: 8 bits and a scale per output; activations: 8 bits and a scale per token.
//   kInt4        weights: 4 bits, a float16 scale per output and group of inputs, and, if asked for, a zero
//                point; activations as for kInt8.
enum class WeightScheme : uint8_t { kF32, kF16, kBF16, kInt8, kInt4 };
struct WeightFormat {
  WeightScheme scheme = WeightScheme::kF32;
  int32_t group_columns = 0;  // inputs that share a scale. kInt4: 32 or 128; 0: all
  bool zero_points = false;   // kInt4: codes from the group's least weight to its greatest, not around 0
  int32_t group_rows = 1;     // outputs that share a scale
  bool operator==(const WeightFormat&) const = default;
};
std::string format_name(const WeightFormat& format);  // "BF16", "INT8", "INT4 (group 128)"
// What a user calls a format to quantize to: int8, int4 (groups of 128), int4-g32, int4-zp, int4-g32-zp (zero
// points).
std::optional<WeightFormat> quantized_format(std::string_view name);
WeightFormat unquantized(DType dtype);  // F32, F16, BF16
// The format for a weight that is stored so: integers with a scale per output, or per output and 32 or 128
// inputs, stay integers; all else is held as `plain`.
WeightFormat nearest_format(const Quantization& quant, DType stored, DType plain);

struct MatmulInput;

// A weight matrix in the kernels' own layout. Opaque; made once at load.
class PackedWeight {
 public:
  // What the bytes alone do not tell. Plain: it can be written to a file beside them.
  struct Header {
    int64_t n = 0, k = 0;  // out features, in features
    WeightFormat format;
    bool is_gated = false;  // two parts, interleaved for a gated epilogue
    bool operator==(const Header&) const = default;
  };
  virtual ~PackedWeight() = default;
  const Header& header() const { return header_; }
  int64_t n() const { return header_.n; }
  int64_t k() const { return header_.k; }
  DeviceSpan<const std::byte> payload() const { return payload_; }
  std::size_t bytes() const { return static_cast<std::size_t>(payload_.size); }
  // The bytes as the host may read them: in place where it may, else copied to `room`.
  std::span<const std::byte> payload_on_host(DeviceMemory& memory, Buffer* room) const;

  // See input_bytes() and make_input() below.
  virtual std::size_t input_bytes(int64_t rows) const = 0;
  virtual MatmulInput input_at(void* memory, int64_t rows) const = 0;

 protected:
  PackedWeight(const Header& header, DeviceSpan<const std::byte> payload)
      : header_(header), payload_(payload) {}

 private:
  Header header_;
  DeviceSpan<const std::byte> payload_;
};

// Packs the rows of several weights, one under the other ([sum of rows, k]: fused q/k/v), so that one product
// serves them; with `gated`, two parts of equal shape (gate, up) for a gated epilogue. The parts lie in host
// memory (a mapped checkpoint). All share columns; each is F32, BF16, F16 or F64, or codes of any grouping,
// which count as the float32 numbers that they stand for. Into another format than a part's own it is
// rounded, or quantized: to nearest, with the scale of every group of weights searched for the least squared
// error, after the inputs' columns have been brought to equal size (the activations are multiplied by the
// same factors before they are quantized, so that the result does not depend on how a checkpoint shares a
// channel's size between norm and weight). Errors: kInvalidArgument on a mismatch or a finite number that
// float16 cannot hold, kExhausted.
Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const Weight> parts, const WeightFormat& format,
                                                  bool gated, ComputeStream& stream);
// The payload's size for this header on the backend with these ops; 0: no such header (sizes or format out of
// range).
std::size_t packed_bytes(const PackedWeight::Header& header, const OpTable& ops);
// A weight whose payload lies in host memory already (a file of packed weights), 64-byte aligned: used there
// and kept alive by `owner` where the device reads host memory, else copied. Requires: payload.size() ==
// packed_bytes(header, stream.ops()).
std::unique_ptr<PackedWeight> adopt_packed(const PackedWeight::Header& header,
                                           std::span<const std::byte> payload,
                                           std::shared_ptr<const void> owner, ComputeStream& stream);

// Rows of x in the form that a weight's kernels read, such as float32, bfloat16, or int8 with a scale per
// row. A view; make_input() lays it out in a buffer. How is the backend's own matter.
struct MatmulInput {
  int64_t rows = 0, k = 0;
  WeightFormat format;  // of the weights that may read it
  // The rows as a matrix that an op may write its result to, [rows, k] float32 or bfloat16, where that is all
  // there is to an input (not int8); none: write float32 elsewhere and convert_input().
  std::optional<Tensor> in_place;
  struct Layout {
    alignas(8) std::array<std::byte, 48> bytes{};
  } layout;  // the backend's
};
std::size_t input_bytes(const PackedWeight& weight, int64_t rows);
// Enough for any weight of k inputs on the backend with these ops.
std::size_t max_input_bytes(int64_t k, int64_t rows, const OpTable& ops);
// Requires: `memory` holds input_bytes(weight, rows). Contents undefined.
MatmulInput make_input(const PackedWeight& weight, DeviceSpan<std::byte> memory, int64_t rows);
// Fills `input` from x [rows, k] float32. int8: scale = max |x| / 127 of the row, numbers rounded to nearest
// even; a row with NaN or infinity gets the scale NaN.
void convert_input(const MatmulInput& input, const Tensor& x, ComputeStream& stream);

enum class Epilogue : uint8_t {
  kStore,  // y = product
  kAdd,    // y += product: one rounding more, after the whole sum
  // Gated, of a gated weight: y[t, i] = activation(product[t, i]) * product[t, i + n / 2]; y: [num_tokens, n
  // / 2].
  kSiluMul,
  kGeluMul  // the tanh form of GELU
};
constexpr bool is_gated(Epilogue epilogue) {
  return epilogue == Epilogue::kSiluMul || epilogue == Epilogue::kGeluMul;
}

// y = x * W^T + bias with an epilogue. y: [num_tokens, n] float32; kStore and the gated ones also round to
// bfloat16. bias: pack_bias() or empty. PROMISE: y[t] is a function of x[t] and W alone, in every bit: one
// sum per output over ascending k (bfloat16: k + 1 before k of each pair; integers exact, groups ascending,
// in float32), the same for every tile, thread count, num_tokens and instruction set.
void matmul(const Tensor& y, const MatmulInput& x, const PackedWeight& w, DeviceSpan<const float> bias,
            Epilogue epilogue, ComputeStream& stream);
// A bias [n] of host memory in the order of the packed outputs, zero where they are padding.
DeviceBuffer pack_bias(const PackedWeight& weight, std::span<const float> bias, ComputeStream& stream);

}  // namespace pagoda
