#include "tensor/dtype.h"

#include <bit>
#include <iterator>

namespace pagoda {
namespace {
constexpr const char* kNames[] = {"F32", "F16", "BF16", "F64", "I8",   "U8",      "I16",    "U16",
                                  "I32", "U32", "I64",  "U64", "BOOL", "F8_E4M3", "F8_E5M2"};
}

const char* dtype_name(DType dtype) {
  return kNames[static_cast<int>(dtype)];
}

bool parse_dtype_name(std::string_view name, DType* dtype) {
  for (int i = 0; i < static_cast<int>(std::size(kNames)); ++i) {
    if (name != kNames[i]) continue;
    *dtype = static_cast<DType>(i);
    return true;
  }
  return false;
}

float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t float_to_bf16(float number) {
  uint32_t bits = std::bit_cast<uint32_t>(number);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float f16_to_float(uint16_t half) {
  uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31,
           fraction = half & 0x3FF;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  float subnormal = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(subnormal) | sign);
}

uint16_t float_to_f16(float number) {
  uint32_t bits = std::bit_cast<uint32_t>(number);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7FFFFFFF;
  if (bits > 0x7F800000) return sign | 0x7E00;
  if (bits >= 0x477FF000) return sign | 0x7C00;  // 65520 and above round to infinity
  if (bits < 0x38800000) {  // below 2^-14: subnormal; adding 0.5 lets the FPU round to 2^-24
    float shifted = std::bit_cast<float>(bits) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000));
  }
  return static_cast<uint16_t>(sign | ((bits - 0x38000000 + 0xFFF + (bits >> 13 & 1)) >> 13));
}

// 1 sign, 4 exponent (bias 7), 3 fraction bits.
float e4m3_to_float(uint8_t code) {
  uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24, magnitude = code & 0x7F;
  if (magnitude == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000);
  if (magnitude >= 8) return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
  float subnormal = static_cast<float>(magnitude) * 0x1p-9f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(subnormal) | sign);
}

uint8_t float_to_e4m3(float number) {
  uint32_t bits = std::bit_cast<uint32_t>(number);
  uint8_t sign = static_cast<uint8_t>(bits >> 24 & 0x80);
  bits &= 0x7FFFFFFF;
  if (bits > 0x7F800000) return sign | 0x7F;
  if (bits >= 0x43E00000) return sign | 0x7E;  // 448
  if (bits < 0x3C800000) {  // below 2^-6: subnormal; adding 2^14 lets the FPU round to 2^-9
    float shifted = std::bit_cast<float>(bits) + 0x1p14f;
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x46800000));
  }
  return static_cast<uint8_t>(sign | ((bits - (120u << 23) + 0x7FFFF + (bits >> 20 & 1)) >> 20));
}

}  // namespace pagoda
