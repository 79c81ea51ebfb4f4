#include "contract/text_delta.h"

#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr std::size_t kCharBytesMax = 4;
constexpr std::size_t kOpenBytesMax = 1024;  // no more is kept of tokens that each complete and open one

bool goes_on(std::string_view open, std::string_view bytes) {
  const std::size_t begun = complete_utf8_prefix(open);
  if (begun == open.size() || bytes.empty()) return false;
  std::string character(open.substr(begun));
  character += bytes.substr(0, kCharBytesMax);
  return decode_utf8(character, 0).valid || complete_utf8_prefix(character) == 0;
}

// The token's bytes with those of the character that it goes on with.
std::string joined(std::string_view open, std::string_view bytes) {
  std::string out;
  if (goes_on(open, bytes)) out = open;
  return out += bytes;
}

}  // namespace

std::string token_name(std::string_view open, std::string_view bytes) {
  std::string name = sanitize_utf8(joined(open, bytes));
  return name.ends_with(kReplacementText) ? std::string() : name;
}

std::string open_after(std::string_view open, std::string_view bytes) {
  std::string all = joined(open, bytes);
  const std::size_t begun = complete_utf8_prefix(all);
  if (begun == all.size()) return {};
  return all.size() <= kOpenBytesMax ? all : all.substr(begun);
}

}  // namespace pagoda
