#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pagoda {

// Element types of tensors, named as safetensors names them in dtype_name().
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
  kF8E4M3,
  kF8E5M2
};

constexpr std::size_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
    case DType::kU64:
      return 8;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
    case DType::kU16:
      return 2;
    default:
      return 1;
  }
}
const char* dtype_name(DType dtype);  // "F32", "BF16", ...
bool parse_dtype_name(std::string_view name, DType* dtype);

// Scalar conversions, the reference for every kernel: round to nearest even; NaN stays NaN (quiet).
float bf16_to_float(uint16_t bits);
uint16_t float_to_bf16(float number);
float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float number);
// F8_E4M3 is e4m3fn of the OCP 8-bit formats: no infinity, NaN 0x7F and 0xFF, at most 448. What is beyond,
// infinities too, becomes 448.
float e4m3_to_float(uint8_t bits);
uint8_t float_to_e4m3(float number);

}  // namespace pagoda
