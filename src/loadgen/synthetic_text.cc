#include "loadgen/synthetic_text.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr int kMendingsMax = 10;

// Common English words: one token each, with the space before, in most vocabularies.
constexpr std::array<std::string_view, 160> kWords = {
    "the",   "of",      "and",   "to",     "in",    "is",    "that",  "it",    "was",    "for",   "on",
    "are",   "with",    "as",    "his",    "they",  "be",    "at",    "one",   "have",   "this",  "from",
    "or",    "had",     "by",    "not",    "but",   "what",  "some",  "we",    "can",    "out",   "other",
    "were",  "all",     "there", "when",   "up",    "use",   "your",  "how",   "said",   "an",    "each",
    "she",   "which",   "do",    "their",  "time",  "if",    "will",  "way",   "about",  "many",  "then",
    "them",  "write",   "would", "like",   "so",    "these", "her",   "long",  "make",   "thing", "see",
    "him",   "two",     "has",   "look",   "more",  "day",   "could", "go",    "come",   "did",   "number",
    "sound", "no",      "most",  "people", "my",    "over",  "know",  "water", "than",   "call",  "first",
    "who",   "may",     "down",  "side",   "been",  "now",   "find",  "any",   "new",    "work",  "part",
    "take",  "get",     "place", "made",   "live",  "where", "after", "back",  "little", "only",  "round",
    "man",   "year",    "came",  "show",   "every", "good",  "me",    "give",  "our",    "under", "name",
    "very",  "through", "just",  "form",   "great", "think", "say",   "help",  "low",    "line",  "turn",
    "cause", "much",    "mean",  "before", "move",  "right", "boy",   "old",   "too",    "same",  "tell",
    "does",  "set",     "three", "want",   "air",   "well",  "also",  "play",  "small",  "end",   "put",
    "home",  "read",    "hand",  "large",  "add",   "land"};

// Tokens that stand for whole characters and nothing special: what they decode to most often encodes to them
// again.
std::vector<int32_t> plain_tokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string_view bytes = tokenizer.token_bytes(id);
    if (!bytes.empty() && !tokenizer.is_special(id) && is_valid_utf8(bytes)) ids.push_back(id);
  }
  return ids;
}

}  // namespace

SyntheticText::SyntheticText(Kind kind, std::shared_ptr<const Tokenizer> tokenizer, int32_t num_units)
    : kind_(kind), tokenizer_(std::move(tokenizer)), num_units_(num_units) {
  if (tokenizer_ == nullptr) return;
  units_ = plain_tokens(*tokenizer_);
  num_units_ = units_.empty() ? std::max(tokenizer_->vocab_size(), 1) : static_cast<int32_t>(units_.size());
  std::vector<int32_t> special;
  tokenizer_->encode("", {.add_special_tokens = true}, &special);
  num_special_ = static_cast<int64_t>(special.size());
}

SyntheticText SyntheticText::as_text(std::shared_ptr<const Tokenizer> tokenizer) {
  return {Kind::kText, std::move(tokenizer), 0};
}
SyntheticText SyntheticText::as_ids(std::shared_ptr<const Tokenizer> tokenizer) {
  return {Kind::kIds, std::move(tokenizer), 0};
}
SyntheticText SyntheticText::as_ids(int32_t vocab_size) {
  return {Kind::kIds, nullptr, vocab_size};
}
SyntheticText SyntheticText::as_words() {
  return {Kind::kWords, nullptr, static_cast<int32_t>(kWords.size())};
}

std::vector<int32_t> SyntheticText::draw(int64_t count, SplitMix64* rng) const {
  std::vector<int32_t> units(static_cast<std::size_t>(count));
  for (int32_t& unit : units) {
    auto index = static_cast<int32_t>(rng->below(static_cast<uint64_t>(num_units_)));
    unit = units_.empty() ? index : units_[static_cast<std::size_t>(index)];
  }
  return units;
}

BenchPrompt SyntheticText::make(std::vector<int32_t> units, SplitMix64* rng) const {
  BenchPrompt prompt;
  if (kind_ == Kind::kIds) {
    prompt.prompt_len = static_cast<int64_t>(units.size());
    prompt.ids = std::move(units);
    return prompt;
  }
  if (kind_ == Kind::kWords) {
    for (int32_t unit : units) {
      if (!prompt.text.empty()) prompt.text += ' ';
      prompt.text += kWords[static_cast<std::size_t>(unit)];
    }
    prompt.prompt_len = static_cast<int64_t>(units.size());
    return prompt;
  }
  int64_t wanted = std::max<int64_t>(static_cast<int64_t>(units.size()) - num_special_, 1);
  std::vector<int32_t> encoded;
  for (int mending = 0; mending < kMendingsMax; ++mending) {
    if (std::ssize(units) < wanted) {
      std::vector<int32_t> more = draw(wanted - std::ssize(units), rng);
      units.insert(units.end(), more.begin(), more.end());
    }
    units.resize(static_cast<std::size_t>(wanted));
    prompt.text = tokenizer_->decode(units, false);
    encoded.clear();
    tokenizer_->encode(prompt.text, {}, &encoded);
    if (std::ssize(encoded) == wanted) break;
    units = encoded;
  }
  prompt.prompt_len = std::ssize(encoded) + num_special_;
  return prompt;
}

int64_t SyntheticText::count_tokens(std::string_view text) const {
  if (tokenizer_ == nullptr) return static_cast<int64_t>((text.size() + 3) / 4);
  std::vector<int32_t> ids;
  tokenizer_->encode(text, {.add_special_tokens = true}, &ids);
  return std::ssize(ids);
}

}  // namespace pagoda
