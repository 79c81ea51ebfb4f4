#include "tokenizer/nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>

#include "base/rng.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

std::string utf8(std::initializer_list<uint32_t> points) {
  std::string text;
  for (uint32_t c : points) append_utf8(&text, c);
  return text;
}

std::string by_utf8proc(const std::string& text, int options) {
  utf8proc_uint8_t* out = nullptr;
  auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                           static_cast<utf8proc_ssize_t>(text.size()), &out,
                           static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  EXPECT_GE(size, 0);
  std::string result(reinterpret_cast<char*>(out),
                     static_cast<std::size_t>(std::max<utf8proc_ssize_t>(size, 0)));
  free(out);
  return result;
}

// Lines of the Unicode NormalizationTest and of UAX 15: source, NFC, NFD.
TEST(Normalize, KnownForms) {
  struct Case {
    std::string source, nfc, nfd;
  };
  const Case cases[] = {
      {"plain", "plain", "plain"},
      {std::string("a\0b", 3), std::string("a\0b", 3), std::string("a\0b", 3)},
      {utf8({0x1E0A}), utf8({0x1E0A}), utf8({'D', 0x307})},
      {utf8({0x1E0A, 0x323}), utf8({0x1E0C, 0x307}), utf8({'D', 0x323, 0x307})},
      {utf8({'D', 0x307, 0x323}), utf8({0x1E0C, 0x307}), utf8({'D', 0x323, 0x307})},
      {utf8({0x212B}), utf8({0xC5}), utf8({'A', 0x30A})},
      {utf8({0x2126}), utf8({0x3A9}), utf8({0x3A9})},
      {utf8({0x344}), utf8({0x308, 0x301}), utf8({0x308, 0x301})},
      {utf8({0x958}), utf8({0x915, 0x93C}), utf8({0x915, 0x93C})},  // excluded from composition
      {utf8({0xAC00, 0x11A8}), utf8({0xAC01}), utf8({0x1100, 0x1161, 0x11A8})},
      {utf8({0x1112, 0x1161, 0x11AB}), utf8({0xD55C}), utf8({0x1112, 0x1161, 0x11AB})},
      {utf8({0x9C7, 0x9BE}), utf8({0x9CB}), utf8({0x9C7, 0x9BE})},  // a starter that combines
      {utf8({'a', 0x302, 0x301, 'b'}), utf8({0x1EA5, 'b'}), utf8({'a', 0x302, 0x301, 'b'})},
      {utf8({0x1D15E}), utf8({0x1D157, 0x1D165}), utf8({0x1D157, 0x1D165})},
      {utf8({0xFB01}), utf8({0xFB01}), utf8({0xFB01})},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(normalize_unicode(c.source, NormalForm::kNfc), c.nfc);
    EXPECT_EQ(normalize_unicode(c.source, NormalForm::kNfd), c.nfd);
  }
  EXPECT_EQ(normalize_unicode(utf8({0xFB01, 0xB2}), NormalForm::kNfkc), "fi2");
  EXPECT_EQ(normalize_unicode(utf8({0xFB01, 0xE9}), NormalForm::kNfkd), utf8({'f', 'i', 'e', 0x301}));
}

TEST(Normalize, EverySingleCharacterAgreesWithUtf8proc) {
  for (uint32_t c = 1; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = utf8({c});
    std::string expected = by_utf8proc(text, UTF8PROC_COMPOSE);
    ASSERT_EQ(normalize_unicode(text, NormalForm::kNfc), expected) << std::hex << c;
    if (is_nfc_quick(text)) {
      ASSERT_EQ(text, expected) << std::hex << c;
    }
  }
}

TEST(Normalize, RandomTextsAgreeWithUtf8proc) {
  constexpr uint32_t kParts[] = {'a',    'e',    ' ',     0xE9,    0x1EA5, 0x300, 0x301,  0x302, 0x307,
                                 0x308,  0x323,  0x327,   0x328,   0x344,  0x345, 0x3B1,  0x390, 0x1100,
                                 0x1161, 0x11A8, 0xAC00,  0xAC01,  0x9C7,  0x9BE, 0x915,  0x93C, 0x958,
                                 0x212B, 0xFB01, 0x1D157, 0x1D165, 0x5D0,  0x5B0, 0x3099, 0x304B};
  SplitMix64 rng(5);
  for (int round = 0; round < 30000; ++round) {
    std::string text;
    for (uint64_t left = rng.below(14); left > 0; --left)
      append_utf8(&text, kParts[rng.below(std::size(kParts))]);
    ASSERT_EQ(normalize_unicode(text, NormalForm::kNfc), by_utf8proc(text, UTF8PROC_COMPOSE));
    ASSERT_EQ(normalize_unicode(text, NormalForm::kNfd), by_utf8proc(text, UTF8PROC_DECOMPOSE));
    ASSERT_EQ(normalize_unicode(text, NormalForm::kNfkc),
              by_utf8proc(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT));
    ASSERT_EQ(normalize_unicode(text, NormalForm::kNfkd),
              by_utf8proc(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT));
  }
}

// One megabyte of marks in the wrong order: exchanging neighbours would take minutes.
TEST(Normalize, AlternatingMarksAreLinear) {
  std::string text = "a", sorted = "\xE1\xBA\xA1";  // a with the first dot below
  constexpr int kPairs = 1 << 18;
  for (int i = 0; i < kPairs; ++i) text += "\xCC\x81\xCC\xA3";  // U+0301 above, U+0323 below
  for (int i = 1; i < kPairs; ++i) sorted += "\xCC\xA3";
  for (int i = 0; i < kPairs; ++i) sorted += "\xCC\x81";
  auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(normalize_unicode(text, NormalForm::kNfc) == sorted);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace pagoda
