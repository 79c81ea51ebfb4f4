#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/utf8.h"
#include "text/bpe.h"
#include "text/char_class.h"
#include "text/json_fields.h"

namespace pagoda {
namespace {

constexpr std::size_t kTokensMax = 1 << 20;
constexpr std::size_t kContentBytesMax = 1024;  // bounds the work at one place of a hostile text

std::size_t previous_char(std::string_view text, std::size_t pos) {
  do {
    --pos;
  } while (pos > 0 && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
  return pos;
}

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0 && is_word_char(decode_utf8(text, previous_char(text, begin)).code_point)) return true;
  return end < text.size() && is_word_char(decode_utf8(text, end).code_point);
}

// `begin` moved left over white space, but not before `low`.
std::size_t strip_left(std::string_view text, std::size_t begin, std::size_t low) {
  while (begin > low) {
    std::size_t before = previous_char(text, begin);
    if (!is_white_space(decode_utf8(text, before).code_point)) break;
    begin = before;
  }
  return begin;
}

std::size_t strip_right(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    Utf8Char c = decode_utf8(text, end);
    if (!is_white_space(c.code_point)) break;
    end += c.length;
  }
  return end;
}

}  // namespace

Result<std::vector<AddedToken>> read_added_tokens(const Value* json) {
  std::vector<AddedToken> tokens;
  if (json == nullptr) return tokens;
  if (!json->is_array()) return wrong_type("added_tokens", "an array", json);
  if (json->as_array().size() > kTokensMax)
    return invalid_argument("tokenizer.json: added_tokens has more than " + std::to_string(kTokensMax) +
                            " members");
  for (std::size_t i = 0; i < json->as_array().size(); ++i) {
    const Value& member = json->as_array()[i];
    std::string path = "added_tokens[" + std::to_string(i) + "]";
    if (!member.is_object()) return wrong_type(path, "an object", &member);
    AddedToken token;
    PAGODA_TRY(int64_t id, int_field(member, path, "id", 0, kTokenIdMax));
    token.id = static_cast<int32_t>(id);
    PAGODA_TRY(token.content, string_field(member, path, "content"));
    if (token.content.size() > kContentBytesMax)
      return invalid_argument("tokenizer.json: " + path + ".content is longer than " +
                              std::to_string(kContentBytesMax) + " bytes");
    PAGODA_TRY(token.special, bool_field_or(member, path, "special", false));
    PAGODA_TRY(token.single_word, bool_field_or(member, path, "single_word", false));
    PAGODA_TRY(token.lstrip, bool_field_or(member, path, "lstrip", false));
    PAGODA_TRY(token.rstrip, bool_field_or(member, path, "rstrip", false));
    PAGODA_TRY(token.normalized, bool_field_or(member, path, "normalized", !token.special));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::vector<AddedToken> merge_added_tokens(std::vector<AddedToken> tokens) {
  std::vector<AddedToken> merged;
  std::unordered_map<std::string, std::size_t> place;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    auto [at, is_new] = place.emplace(token.content, merged.size());
    if (is_new) {
      merged.push_back(std::move(token));
      continue;
    }
    AddedToken& earlier = merged[at->second];
    if (token.known == AddedToken::Known::kKept) continue;
    if (token.known == AddedToken::Known::kReplaced) {
      earlier.single_word = token.single_word;
      earlier.lstrip = token.lstrip;
      earlier.rstrip = token.rstrip;
      earlier.normalized = token.normalized;
    }
    earlier.special = earlier.special || token.special;
  }
  return merged;
}

int32_t AddedTokenMatcher::child(int32_t node, unsigned char byte) const {
  int32_t at = nodes_[static_cast<std::size_t>(node)].first_child;
  while (at >= 0 && nodes_[static_cast<std::size_t>(at)].byte != byte)
    at = nodes_[static_cast<std::size_t>(at)].next_sibling;
  return at;
}

void AddedTokenMatcher::add(const AddedToken& token, std::string_view pattern) {
  if (pattern.empty()) return;
  int32_t node = 0;
  for (char c : pattern) {
    auto byte = static_cast<unsigned char>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      int32_t* first = &nodes_[static_cast<std::size_t>(node)].first_child;
      Node added{byte, -1, *first, -1};
      *first = next;
      nodes_.push_back(added);
    }
    node = next;
  }
  nodes_[static_cast<std::size_t>(node)].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  auto first = static_cast<unsigned char>(pattern[0]);
  begins_[first] = true;
  first_byte_ = first_byte_ == -1 || first_byte_ == first ? first : -2;
}

int32_t AddedTokenMatcher::longest(std::string_view text, std::size_t pos, bool skip_special,
                                   std::size_t* end) const {
  int32_t best = -1, node = 0;
  for (std::size_t i = pos; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node < 0) break;
    int32_t token = nodes_[static_cast<std::size_t>(node)].token;
    if (token < 0 || (skip_special && tokens_[static_cast<std::size_t>(token)].special)) continue;
    best = token;
    *end = i + 1;
  }
  return best;
}

void AddedTokenMatcher::split(std::string_view text, bool at_start, bool skip_special,
                              AddedTokenSink* sink) const {
  std::size_t done = 0;
  auto emit_plain = [&](std::size_t end) {
    if (done < end) sink->plain(text.substr(done, end - done), at_start && done == 0);
  };
  for (std::size_t i = 0; i < text.size() && !tokens_.empty();) {
    if (first_byte_ >= 0) {
      const void* found = std::memchr(text.data() + i, first_byte_, text.size() - i);
      if (found == nullptr) break;
      i = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    } else if (!begins_[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    std::size_t end = 0;
    int32_t index = longest(text, i, skip_special, &end);
    if (index < 0) {
      ++i;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t begin = i;
    i = end;
    if (token.single_word && touches_word(text, begin, end)) continue;
    if (token.lstrip) begin = strip_left(text, begin, done);
    // The white space it takes in may be the beginning of the next token. What lies before `done` has been
    // looked at: it is all white space.
    if (token.rstrip) end = strip_right(text, std::max(end, done));
    emit_plain(begin);
    sink->token(token.id);
    done = end;
  }
  emit_plain(text.size());
}

}  // namespace pagoda
