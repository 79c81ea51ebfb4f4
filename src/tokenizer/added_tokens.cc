#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/cancel.h"
#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/char_class.h"
#include "tokenizer/json_fields.h"

namespace pagoda {
namespace {

constexpr std::size_t kTokensMax = 1 << 20;
constexpr std::size_t kTriesAtOnce = 1 << 12;
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

// Of the sorted patterns, those that have the first `depth` bytes of a node in common.
struct AddedTokenMatcher::Range {
  std::size_t begin, end, depth;
};

AddedTokenMatcher::AddedTokenMatcher(std::vector<Pattern> patterns) {
  std::erase_if(patterns, [](const Pattern& one) { return one.first.empty(); });
  std::stable_sort(patterns.begin(), patterns.end(),
                   [](const Pattern& a, const Pattern& b) { return a.first < b.first; });
  auto last_of_each = std::unique(patterns.rbegin(), patterns.rend(),
                                  [](const Pattern& a, const Pattern& b) { return a.first == b.first; });
  patterns.erase(patterns.begin(), last_of_each.base());
  if (patterns.empty()) return;
  for (const auto& [text, token] : patterns) {
    rules_.push_back({token->id, token->special, token->single_word, token->lstrip, token->rstrip});
    const auto first = static_cast<unsigned char>(text[0]);
    begins_[first] = true;
    first_byte_ = first_byte_ == -1 || first_byte_ == first ? first : -2;
  }
  nodes_.resize(1);
  first_bytes_.resize(1);
  std::vector<Range> waiting = {{0, patterns.size(), 0}};  // one per node
  for (std::size_t node = 0; node < waiting.size(); ++node)
    grow(node, Range(waiting[node]), patterns, &waiting);
}

// All that the patterns of a range go on with in common leads to its node; where they part are its children.
// Every byte of the patterns is looked at once.
void AddedTokenMatcher::grow(std::size_t node, const Range& range, const std::vector<Pattern>& sorted,
                             std::vector<Range>* waiting) {
  const std::string &first = sorted[range.begin].first, &last = sorted[range.end - 1].first;
  const std::size_t depth = static_cast<std::size_t>(
      std::mismatch(first.begin() + static_cast<std::ptrdiff_t>(range.depth), first.end(),
                    last.begin() + static_cast<std::ptrdiff_t>(range.depth), last.end())
          .first -
      first.begin());
  nodes_[node].label = static_cast<uint32_t>(labels_.size());
  nodes_[node].label_size = static_cast<uint32_t>(depth - range.depth);
  labels_.append(first, range.depth, depth - range.depth);
  std::size_t begin = range.begin;
  if (first.size() == depth) nodes_[node].rule = static_cast<int32_t>(begin++);
  nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
  while (begin < range.end) {
    const char byte = sorted[begin].first[depth];
    std::size_t end = begin;
    while (end < range.end && sorted[end].first[depth] == byte) ++end;
    waiting->push_back({begin, end, depth});
    nodes_.emplace_back();
    first_bytes_ += byte;
    begin = end;
  }
  nodes_[node].num_children = static_cast<uint32_t>(nodes_.size()) - nodes_[node].first_child;
}

int32_t AddedTokenMatcher::longest(std::string_view text, std::size_t pos, bool skip_special,
                                   std::size_t* end) const {
  int32_t best = -1;
  for (std::size_t at = 0;;) {
    const Node& node = nodes_[at];
    if (text.compare(pos, node.label_size, labels_.data() + node.label, node.label_size) != 0) return best;
    pos += node.label_size;
    if (node.rule >= 0 && !(skip_special && rules_[static_cast<std::size_t>(node.rule)].special)) {
      best = node.rule;
      *end = pos;
    }
    if (pos == text.size() || node.num_children == 0) return best;
    const char* children = first_bytes_.data() + node.first_child;
    const void* child = std::memchr(children, static_cast<unsigned char>(text[pos]), node.num_children);
    if (child == nullptr) return best;
    at = node.first_child + static_cast<std::size_t>(static_cast<const char*>(child) - children);
  }
}

void AddedTokenMatcher::split(std::string_view text, bool at_start, bool skip_special,
                              AddedTokenSink* sink) const {
  std::size_t done = 0, num_tried = 0;
  auto emit_plain = [&](std::size_t end) {
    if (done < end) sink->plain(text.substr(done, end - done), at_start && done == 0);
  };
  for (std::size_t i = 0; i < text.size() && !rules_.empty();) {
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
      if (++num_tried % kTriesAtOnce == 0 && is_work_cancelled()) throw EncodingCancelled();
      continue;
    }
    const Rule& token = rules_[static_cast<std::size_t>(index)];
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
