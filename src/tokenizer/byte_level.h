// The byte-level alphabet of GPT-2: each of the 256 bytes has one printable character, so that a vocabulary
// of byte strings can be written as text. Printable Latin-1 bytes stand for themselves; the other 68
// (controls, space, 0x7F-0xA0, soft hyphen) are U+0100 onwards in ascending order.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pagoda {

// The code point of a byte.
uint32_t byte_level_char(unsigned char byte);
// The bytes that `text` stands for, or nothing if it holds a character outside of the alphabet.
std::optional<std::string> byte_level_decode(std::string_view text);
void append_byte_level(std::string* out, std::string_view bytes);

}  // namespace pagoda
