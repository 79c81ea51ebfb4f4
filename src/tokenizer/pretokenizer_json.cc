// Reading of the `pre_tokenizer` member.
#include <algorithm>

#include "base/excerpt.h"
#include "base/utf8.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/pretokenizer.h"

namespace pagoda {
namespace {

constexpr int kDepthMax = 8;
constexpr std::size_t kStepsMax = 16;

Result<SplitBehavior> behavior_field(const Value& json, const std::string& path) {
  PAGODA_TRY(std::string name, string_field(json, path, "behavior"));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return invalid_argument("tokenizer.json: " + path + ".behavior: unknown value " + excerpt(name, 60));
}

}  // namespace

Result<PreTokenizer> PreTokenizer::from_json(const Value* json) {
  PreTokenizer pretokenizer;
  if (json != nullptr) PAGODA_RETURN_IF_ERROR(pretokenizer.add(*json, "pre_tokenizer", 0));
  pretokenizer.finish();
  return pretokenizer;
}

Status PreTokenizer::add(const Value& json, const std::string& path, int depth) {
  PAGODA_TRY(std::string type, string_field(json, path, "type"));
  if (depth > kDepthMax || steps_.size() >= kStepsMax)
    return invalid_argument("tokenizer.json: " + path + ": too many pre-tokenizers");
  if (type == "Sequence") {
    PAGODA_TRY(const Array* members, array_field(json, path, "pretokenizers"));
    for (std::size_t i = 0; i < members->size(); ++i)
      PAGODA_RETURN_IF_ERROR(
          add((*members)[i], path + ".pretokenizers[" + std::to_string(i) + "]", depth + 1));
    return Status();
  }
  if (type == "Split") return add_split(json, path);
  if (type == "ByteLevel") return add_byte_level(json, path);
  if (type == "Metaspace") return add_metaspace(json, path);
  if (type == "Punctuation") {
    auto behavior = SplitBehavior::kIsolated;
    if (optional_member(json, "behavior") != nullptr) {
      PAGODA_TRY(behavior, behavior_field(json, path));
    }
    steps_.push_back(SplitChars{CharKind::kPunctuation, behavior});
  } else if (type == "Digits") {
    PAGODA_TRY(bool individual, bool_field_or(json, path, "individual_digits", false));
    steps_.push_back(
        SplitChars{CharKind::kNumeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous});
  } else if (type == "WhitespaceSplit") {
    steps_.push_back(SplitChars{CharKind::kWhiteSpace, SplitBehavior::kRemoved});
  } else {
    return invalid_argument(
        "tokenizer.json: " + path + ": the pre-tokenizer " + excerpt(type, 60) +
        " is not built; Split, ByteLevel, Metaspace, Punctuation, Digits, WhitespaceSplit and Sequence are");
  }
  return Status();
}

Status PreTokenizer::add_split(const Value& json, const std::string& path) {
  PAGODA_TRY(SplitBehavior behavior, behavior_field(json, path));
  PAGODA_TRY(bool invert, bool_field_or(json, path, "invert", false));
  PAGODA_TRY(StepPattern at, pattern_field(json, path));
  if (at.regex)
    steps_.push_back(SplitRegex{std::move(*at.regex), Scanner::for_pattern(at.text), behavior, invert});
  else
    steps_.push_back(SplitText{std::move(at.text), behavior, invert});
  return Status();
}

Status PreTokenizer::add_byte_level(const Value& json, const std::string& path) {
  PAGODA_TRY(bool add_prefix_space, bool_field_or(json, path, "add_prefix_space", true));
  PAGODA_TRY(bool use_regex, bool_field_or(json, path, "use_regex", true));
  if (byte_level_)
    return invalid_argument("tokenizer.json: " + path + ": a second ByteLevel would spell bytes twice");
  byte_level_ = true;
  steps_.push_back(ByteLevel{add_prefix_space, use_regex, false});
  return Status();
}

Status PreTokenizer::add_metaspace(const Value& json, const std::string& path) {
  // Each may put its mark before every piece that the ones before it have cut: many of them double a text
  // again and again.
  constexpr auto kMetaspacesMax = 2;
  auto is_metaspace = [](const Step& step) { return std::holds_alternative<Metaspace>(step); };
  if (std::count_if(steps_.begin(), steps_.end(), is_metaspace) >= kMetaspacesMax)
    return invalid_argument("tokenizer.json: " + path + ": more than two Metaspace pre-tokenizers");
  Metaspace step;
  PAGODA_TRY(step.replacement, string_field_or(json, path, "replacement", "\xE2\x96\x81"));
  if (step.replacement.empty() || decode_utf8(step.replacement, 0).length != step.replacement.size())
    return invalid_argument("tokenizer.json: " + path + ".replacement must be one character");
  PAGODA_TRY(step.split, bool_field_or(json, path, "split", true));
  // Older files say add_prefix_space instead of prepend_scheme.
  PAGODA_TRY(bool add_prefix_space, bool_field_or(json, path, "add_prefix_space", true));
  PAGODA_TRY(std::string scheme,
             string_field_or(json, path, "prepend_scheme", add_prefix_space ? "always" : "never"));
  if (scheme != "always" && scheme != "first" && scheme != "never")
    return invalid_argument("tokenizer.json: " + path +
                            ".prepend_scheme must be always, first or never, not " + scheme);
  step.prepend = scheme == "always"  ? Prepend::kAlways
                 : scheme == "first" ? Prepend::kFirst
                                     : Prepend::kNever;
  steps_.push_back(std::move(step));
  return Status();
}

void PreTokenizer::finish() {
  if (steps_.empty()) return;
  auto* last = std::get_if<ByteLevel>(&steps_.back());
  if (last == nullptr) return;
  last->last = true;
  if (!last->add_prefix_space && !last->use_regex) steps_.pop_back();
}

}  // namespace pagoda
