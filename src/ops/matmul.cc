#include "ops/matmul.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

std::string format_name(const WeightFormat& format) {
  constexpr const char* kNames[] = {"F32", "F16", "BF16", "INT8", "INT4"};
  std::string name = kNames[static_cast<int>(format.scheme)];
  if (format.scheme == WeightScheme::kInt4)
    name += " (group " + std::to_string(format.group_columns) + (format.zero_points ? ", zero points)" : ")");
  return name;
}

std::optional<WeightFormat> quantized_format(std::string_view name) {
  if (name == "int8") return WeightFormat{WeightScheme::kInt8};
  const bool zeros = name.ends_with("-zp");
  if (zeros) name.remove_suffix(3);
  if (name == "int4" || name == "int4-g128") return WeightFormat{WeightScheme::kInt4, 128, zeros};
  if (name == "int4-g32") return WeightFormat{WeightScheme::kInt4, 32, zeros};
  return std::nullopt;
}

WeightFormat unquantized(DType dtype) {
  PAGODA_CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16,
               "no kernel for this dtype");
  return {dtype == DType::kF32   ? WeightScheme::kF32
          : dtype == DType::kF16 ? WeightScheme::kF16
                                 : WeightScheme::kBF16};
}

WeightFormat nearest_format(const Quantization& quant, DType stored, DType plain) {
  const bool is_integer =
      quant.scheme == QuantScheme::kGrouped && quant.group_rows == 1 && stored != DType::kF8E4M3;
  if (is_integer && quant.bits == 8 && quant.group_columns == 0) return {WeightScheme::kInt8};
  if (is_integer && quant.bits == 4 && (quant.group_columns == 32 || quant.group_columns == 128))
    return {WeightScheme::kInt4, quant.group_columns, quant.has_zeros};
  return unquantized(plain);
}

std::span<const std::byte> PackedWeight::payload_on_host(DeviceMemory& memory, Buffer* room) const {
  if (const void* view = memory.host_view(payload_.data))
    return {static_cast<const std::byte*>(view), bytes()};
  if (room->bytes() < bytes()) *room = Buffer::uninitialized(bytes());
  memory.copy_to_host(room->data(), payload_.data, bytes());
  return {static_cast<const std::byte*>(room->data()), bytes()};
}

Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const Weight> parts, const WeightFormat& format,
                                                  bool gated, ComputeStream& stream) {
  if (parts.empty()) return invalid_argument("no weight to pack");
  PAGODA_CHECK(!gated || parts.size() == 2, "a gate and its other half");
  return stream.ops().pack_weight(parts, format, gated, stream);
}

std::unique_ptr<PackedWeight> adopt_packed(const PackedWeight::Header& header,
                                           std::span<const std::byte> payload,
                                           std::shared_ptr<const void> owner, ComputeStream& stream) {
  PAGODA_CHECK(payload.size() == packed_bytes(header, stream.ops()) && payload.size() > 0,
               "payload of another weight");
  PAGODA_CHECK(reinterpret_cast<uintptr_t>(payload.data()) % 64 == 0, "payload is aligned");
  return stream.ops().adopt_packed(header, payload, std::move(owner), stream);
}

DeviceBuffer pack_bias(const PackedWeight& weight, std::span<const float> bias, ComputeStream& stream) {
  check_size("pack_bias: bias", static_cast<int64_t>(bias.size()), weight.n());
  return stream.ops().pack_bias(weight, bias, stream);
}

std::size_t input_bytes(const PackedWeight& weight, int64_t rows) {
  return weight.input_bytes(rows);
}

std::size_t packed_bytes(const PackedWeight::Header& header, const OpTable& ops) {
  return ops.packed_bytes(header);
}

std::size_t max_input_bytes(int64_t k, int64_t rows, const OpTable& ops) {
  return ops.max_input_bytes(k, rows);
}

MatmulInput make_input(const PackedWeight& weight, DeviceSpan<std::byte> memory, int64_t rows) {
  check_size_min("make_input: memory", memory.size, static_cast<int64_t>(weight.input_bytes(rows)));
  return weight.input_at(memory.data, rows);
}

void convert_input(const MatmulInput& input, const Tensor& x, ComputeStream& stream) {
  check_matrix("convert_input: x", x, input.rows, input.k);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().convert_input(input, x, stream);
}

void matmul(const Tensor& y, const MatmulInput& x, const PackedWeight& w, DeviceSpan<const float> bias,
            Epilogue epilogue, ComputeStream& stream) {
  if (x.rows == 0) return;
  const int64_t columns = is_gated(epilogue) ? w.n() / 2 : w.n();
  PAGODA_CHECK(x.k == w.k() && x.format == w.header().format, "an input made for another weight");
  PAGODA_CHECK(w.header().is_gated == is_gated(epilogue), "gated weights, and only those, join two halves");
  check_product("matmul: y", y, x.rows, columns);
  const OpTimer timer(stream, OpKind::kLinear);
  stream.ops().matmul(y, x, w, bias, epilogue, stream);
}

}  // namespace pagoda
