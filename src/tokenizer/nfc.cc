#include "tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <memory>
#include <vector>

#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr uint32_t kCodePoints = 0x110000;
constexpr auto kDecompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

bool is_hangul_syllable(uint32_t c) {
  return c >= 0xAC00 && c < 0xAC00 + 11172;
}

int combining_class(int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

// Appends the full decomposition of one character, marks not yet in order.
void decompose_char(uint32_t c, bool compatibility, std::vector<int32_t>* out) {
  std::array<int32_t, 32> buffer;  // the longest decomposition, of U+FDFA, has 18
  int options = kDecompose | (compatibility ? UTF8PROC_COMPAT : 0);
  auto count = utf8proc_decompose_char(static_cast<int32_t>(c), buffer.data(), buffer.size(),
                                       static_cast<utf8proc_option_t>(options), nullptr);
  if (count <= 0 || count > static_cast<utf8proc_ssize_t>(buffer.size())) {
    out->push_back(static_cast<int32_t>(c));
    return;
  }
  out->insert(out->end(), buffer.begin(), buffer.begin() + count);
}

// Characters that a text in NFC may hold only after a closer look: marks, characters that may combine with
// the one before, and those that NFC replaces. All others are starters that end whatever went before (UAX 15,
// section 9).
using Suspects = std::bitset<kCodePoints>;

std::unique_ptr<Suspects> find_suspects() {
  auto suspects = std::make_unique<Suspects>();
  std::vector<int32_t> parts;
  for (uint32_t c = 0x300; c < 0x30000; ++c) {  // canonical decompositions end in plane 2
    if (is_hangul_syllable(c) || (c >= 0xD800 && c < 0xE000)) continue;
    if (combining_class(static_cast<int32_t>(c)) != 0) suspects->set(c);
  }
  for (uint32_t c = 0xC0; c < 0x30000; ++c) {
    if (is_hangul_syllable(c) || (c >= 0xD800 && c < 0xE000)) continue;
    parts.clear();
    decompose_char(c, false, &parts);
    if (parts.size() == 1 && parts[0] == static_cast<int32_t>(c)) continue;
    int32_t last = parts.back();
    auto count =
        utf8proc_normalize_utf32(parts.data(), static_cast<utf8proc_ssize_t>(parts.size()), kCompose);
    if (count == 1 && parts[0] == static_cast<int32_t>(c))
      suspects->set(static_cast<uint32_t>(last));
    else
      suspects->set(c);
  }
  for (uint32_t c = 0x1161; c <= 0x1175; ++c) suspects->set(c);  // Hangul vowels and final consonants
  for (uint32_t c = 0x11A8; c <= 0x11C2; ++c) suspects->set(c);
  for (uint32_t c = 0xE0000; c < 0xE1000; ++c)
    if (combining_class(static_cast<int32_t>(c)) != 0) suspects->set(c);
  return suspects;
}

const Suspects& suspects() {
  static const std::unique_ptr<const Suspects> table = find_suspects();
  return *table;
}

// Canonical ordering: each run of marks is sorted by combining class, equal classes keep their order.
void order_marks(std::vector<int32_t>* points) {
  std::vector<int32_t> sorted;
  for (std::size_t i = 0; i < points->size();) {
    if (combining_class((*points)[i]) == 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    bool ordered = true;
    int previous = 0;
    std::array<uint32_t, 257> begin{};  // counts by class, then the places where each class goes
    for (; end < points->size(); ++end) {
      int ccc = combining_class((*points)[end]);
      if (ccc == 0) break;
      ordered &= ccc >= previous;
      previous = ccc;
      ++begin[static_cast<std::size_t>(ccc) + 1];
    }
    if (!ordered) {
      for (std::size_t k = 1; k < begin.size(); ++k) begin[k] += begin[k - 1];
      sorted.resize(end - i);
      for (std::size_t k = i; k < end; ++k)
        sorted[begin[static_cast<std::size_t>(combining_class((*points)[k]))]++] = (*points)[k];
      std::copy(sorted.begin(), sorted.end(), points->begin() + static_cast<std::ptrdiff_t>(i));
    }
    i = end + 1;
  }
}

void append_normalized(std::string_view text, NormalForm form, std::string* out) {
  bool compatibility = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  std::vector<int32_t> points;
  points.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    decompose_char(c.code_point, compatibility, &points);
    i += c.length;
  }
  order_marks(&points);
  std::size_t count = points.size();
  if (compose) {
    auto composed = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(count), kCompose);
    if (composed >= 0) count = static_cast<std::size_t>(composed);
  }
  for (std::size_t i = 0; i < count; ++i) append_utf8(out, static_cast<uint32_t>(points[i]));
}

// Offset of the first suspect at or after `from`, or the size. `boundary` becomes the offset of the character
// before.
std::size_t find_suspect(std::string_view text, std::size_t from, std::size_t* boundary) {
  const Suspects& table = suspects();
  *boundary = from;
  for (std::size_t i = from; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      *boundary = i++;
      continue;
    }
    Utf8Char c = decode_utf8(text, i);
    if (table.test(c.code_point)) return i;
    *boundary = i;
    i += c.length;
  }
  return text.size();
}

std::string normalize_nfc(std::string_view text) {
  const Suspects& table = suspects();
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    std::size_t boundary = 0;
    std::size_t suspect = find_suspect(text, i, &boundary);
    if (suspect == text.size()) {
      out.append(text.substr(i));
      break;
    }
    out.append(text.substr(i, boundary - i));
    std::size_t end = suspect;
    while (end < text.size()) {
      Utf8Char c = decode_utf8(text, end);
      if (!table.test(c.code_point)) break;
      end += c.length;
    }
    append_normalized(text.substr(boundary, end - boundary), NormalForm::kNfc, &out);
    i = end;
  }
  return out;
}

}  // namespace

bool is_nfc_quick(std::string_view text) {
  std::size_t boundary = 0;
  return find_suspect(text, 0, &boundary) == text.size();
}

std::string normalize_unicode(std::string_view text, NormalForm form) {
  if (form == NormalForm::kNfc) return normalize_nfc(text);
  std::string out;
  out.reserve(text.size());
  append_normalized(text, form, &out);
  return out;
}

}  // namespace pagoda
