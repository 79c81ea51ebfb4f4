#include "tokenizer/token_decoder.h"

#include <algorithm>

#include "base/excerpt.h"
#include "base/utf8.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_fields.h"

namespace pagoda {
namespace {

constexpr int kDepthMax = 8;
constexpr std::size_t kStepsMax = 32;
constexpr std::size_t kContentBytesMax = 256;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte of "<0x0A>", or -1.
int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int high = hex_digit(token[3]), low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string replace_all(const std::string& text, const std::string& from, const std::string& to) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(from, done)) != std::string::npos; done = at + from.size()) {
    out.append(text, done, at - done);
    out += to;
  }
  out.append(text, done);
  return out;
}

std::string strip(std::string_view text, const std::string& what, int64_t start, int64_t stop) {
  for (; start > 0 && text.starts_with(what); --start) text.remove_prefix(what.size());
  for (; stop > 0 && text.ends_with(what); --stop) text.remove_suffix(what.size());
  return std::string(text);
}

bool is_one_character(const std::string& text) {
  return !text.empty() && decode_utf8(text, 0).length == text.size();
}

}  // namespace

Result<TokenDecoder> TokenDecoder::from_json(const Value* json, bool byte_level) {
  TokenDecoder decoder;
  if (json != nullptr) {
    PAGODA_RETURN_IF_ERROR(decoder.add(*json, "decoder", 0));
  } else if (byte_level) {
    decoder.steps_.push_back({Step::Kind::kByteLevel, "", ""});
  }
  return decoder;
}

Status TokenDecoder::after_fuse(const std::string& path) const {
  if (!fused_) return Status();
  return invalid_argument("tokenizer.json: " + path + ": of the decoders behind Fuse, only Strip is built");
}

Status TokenDecoder::add(const Value& json, const std::string& path, int depth) {
  PAGODA_TRY(std::string type, string_field(json, path, "type"));
  if (depth > kDepthMax || steps_.size() >= kStepsMax)
    return invalid_argument("tokenizer.json: " + path + ": too many decoders");
  if (type == "Sequence") {
    PAGODA_TRY(const Array* members, array_field(json, path, "decoders"));
    for (std::size_t i = 0; i < members->size(); ++i)
      PAGODA_RETURN_IF_ERROR(add((*members)[i], path + ".decoders[" + std::to_string(i) + "]", depth + 1));
    return Status();
  }
  if (type == "Strip") return add_strip(json, path);
  PAGODA_RETURN_IF_ERROR(after_fuse(path));
  if (type == "Replace") return add_replace(json, path);
  if (type == "Metaspace") return add_metaspace(json, path);
  if (type == "ByteLevel") {
    steps_.push_back({Step::Kind::kByteLevel, "", ""});
  } else if (type == "ByteFallback") {
    steps_.push_back({Step::Kind::kByteFallback, "", ""});
  } else if (type == "Fuse") {
    fused_ = true;
  } else {
    return invalid_argument(
        "tokenizer.json: " + path + ": the decoder " + excerpt(type, 60) +
        " is not built; ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence are");
  }
  return Status();
}

Status TokenDecoder::add_replace(const Value& json, const std::string& path) {
  const Value* pattern = optional_member(json, "pattern");
  if (pattern == nullptr || optional_member(*pattern, "String") == nullptr)
    return wrong_type(path + ".pattern", "an object with String", pattern);
  PAGODA_TRY(std::string from, string_field(*pattern, path + ".pattern", "String"));
  PAGODA_TRY(std::string to, string_field(json, path, "content"));
  if (from.empty()) return invalid_argument("tokenizer.json: " + path + ".pattern.String is empty");
  if (to.size() > kContentBytesMax)
    return invalid_argument("tokenizer.json: " + path + ".content is too long");
  growth_ *= std::max(1.0, static_cast<double>(to.size()) / static_cast<double>(from.size()));
  steps_.push_back({Step::Kind::kReplace, std::move(from), std::move(to)});
  return check_growth(path, growth_);
}

Status TokenDecoder::add_metaspace(const Value& json, const std::string& path) {
  PAGODA_TRY(mark_, string_field_or(json, path, "replacement", "\xE2\x96\x81"));
  if (!is_one_character(mark_))
    return invalid_argument("tokenizer.json: " + path + ".replacement must be one character");
  PAGODA_TRY(bool add_prefix_space, bool_field_or(json, path, "add_prefix_space", true));
  PAGODA_TRY(std::string scheme,
             string_field_or(json, path, "prepend_scheme", add_prefix_space ? "always" : "never"));
  start_.drop_marks = scheme != "never";
  steps_.push_back({Step::Kind::kReplace, mark_, " "});
  return Status();
}

Status TokenDecoder::add_strip(const Value& json, const std::string& path) {
  PAGODA_TRY(std::string content, string_field(json, path, "content"));
  PAGODA_TRY(int64_t start, int_field(json, path, "start", 0, 1 << 20));
  PAGODA_TRY(int64_t stop, int_field(json, path, "stop", 0, 1 << 20));
  if (!is_one_character(content))
    return invalid_argument("tokenizer.json: " + path + ".content must be one character");
  if (!fused_) {
    steps_.push_back({Step::Kind::kStrip, std::move(content), "", start, stop});
    return Status();
  }
  if (stop != 0 || start_.strip_max != 0)
    return invalid_argument("tokenizer.json: " + path +
                            ": behind Fuse, one Strip of leading characters is built");
  start_.strip_max = static_cast<int>(start);
  start_.strip = std::move(content);
  return Status();
}

std::string TokenDecoder::apply(std::string_view spelling, bool drop_marks) const {
  std::string text(spelling);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Step::Kind::kReplace:
        text = replace_all(text, step.from, drop_marks && step.from == mark_ ? "" : step.to);
        break;
      case Step::Kind::kStrip:
        text = strip(text, step.from, step.strip_start, step.strip_stop);
        break;
      case Step::Kind::kByteLevel:
        // A token with any other character, such as an added token with a space, stands for itself.
        if (auto bytes = byte_level_decode(text)) text = std::move(*bytes);
        break;
      case Step::Kind::kByteFallback:
        if (int byte = byte_of_token(text); byte >= 0) text.assign(1, static_cast<char>(byte));
        break;
    }
  }
  return text;
}

std::string TokenDecoder::token_bytes(std::string_view spelling) const {
  return apply(spelling, false);
}

std::string TokenDecoder::first_token_bytes(std::string_view spelling) const {
  return apply(spelling, start_.drop_marks);
}

}  // namespace pagoda
