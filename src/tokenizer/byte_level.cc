#include "tokenizer/byte_level.h"

#include <array>

#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr uint32_t kAlphabetEnd = 0x100 + 68;

struct Alphabet {
  std::array<uint32_t, 256> char_of_byte{};
  std::array<int16_t, kAlphabetEnd> byte_of_char{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte_of_char) byte = -1;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    uint32_t code_point = printable ? byte : next++;
    alphabet.char_of_byte[byte] = code_point;
    alphabet.byte_of_char[code_point] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

uint32_t byte_level_char(unsigned char byte) {
  return kAlphabet.char_of_byte[byte];
}

std::optional<std::string> byte_level_decode(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    if (!c.valid || c.code_point >= kAlphabetEnd || kAlphabet.byte_of_char[c.code_point] < 0)
      return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte_of_char[c.code_point]);
    i += c.length;
  }
  return bytes;
}

void append_byte_level(std::string* out, std::string_view bytes) {
  for (char byte : bytes) append_utf8(out, kAlphabet.char_of_byte[static_cast<unsigned char>(byte)]);
}

}  // namespace pagoda
