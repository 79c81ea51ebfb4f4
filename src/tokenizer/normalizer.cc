#include "tokenizer/normalizer.h"

#include <algorithm>

#include "base/excerpt.h"
#include "tokenizer/json_fields.h"

namespace pagoda {
namespace {

constexpr int kDepthMax = 8;
constexpr std::size_t kStepsMax = 32;
constexpr std::size_t kContentBytesMax = 256;

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(from, done)) != std::string_view::npos; done = at + from.size()) {
    out.append(text.substr(done, at - done));
    out.append(to);
  }
  out.append(text.substr(done));
  return out;
}

std::string replace_all(std::string_view text, const Regex& from, std::string_view to) {
  std::string out;
  Regex::Search matches(from, text);
  std::size_t done = 0, search = 0, begin = 0, end = 0;
  while (search <= text.size() && matches.find(search, &begin, &end)) {
    out.append(text.substr(done, begin - done));
    out.append(to);
    done = search = end;
    if (end > begin) continue;
    // An empty match: step over one character.
    if (end == text.size()) break;
    do {
      ++search;
    } while (search < text.size() && (static_cast<unsigned char>(text[search]) & 0xC0) == 0x80);
  }
  out.append(text.substr(done));
  return out;
}

}  // namespace

Result<Normalizer> Normalizer::from_json(const Value* json) {
  Normalizer normalizer;
  if (json != nullptr) PAGODA_RETURN_IF_ERROR(normalizer.add(*json, "normalizer", 0));
  return normalizer;
}

Status Normalizer::add(const Value& json, const std::string& path, int depth) {
  PAGODA_TRY(std::string type, string_field(json, path, "type"));
  if (depth > kDepthMax || steps_.size() >= kStepsMax)
    return invalid_argument("tokenizer.json: " + path + ": too many normalizers");
  if (type == "Sequence") {
    PAGODA_TRY(const Array* members, array_field(json, path, "normalizers"));
    for (std::size_t i = 0; i < members->size(); ++i)
      PAGODA_RETURN_IF_ERROR(add((*members)[i], path + ".normalizers[" + std::to_string(i) + "]", depth + 1));
  } else if (type == "NFC") {
    add_form(NormalForm::kNfc, 3);
  } else if (type == "NFD") {
    add_form(NormalForm::kNfd, 3);
  } else if (type == "NFKC") {
    add_form(NormalForm::kNfkc, 11);
  } else if (type == "NFKD") {
    add_form(NormalForm::kNfkd, 11);
  } else if (type == "Prepend") {
    PAGODA_TRY(std::string prefix, string_field(json, path, "prepend"));
    if (prefix.size() > kContentBytesMax)
      return invalid_argument("tokenizer.json: " + path + ".prepend is too long");
    growth_ += static_cast<double>(prefix.size());
    steps_.push_back(Prepend{std::move(prefix)});
  } else if (type == "Replace") {
    return add_replace(json, path);
  } else {
    return invalid_argument("tokenizer.json: " + path + ": the normalizer " + excerpt(type, 60) +
                            " is not built; NFC, NFD, NFKC, NFKD, Prepend, Replace and Sequence are");
  }
  return check_growth(path, growth_);
}

// The largest growth of UTF-8 under the form (https://unicode.org/faq/normalization.html).
void Normalizer::add_form(NormalForm form, double growth) {
  steps_.push_back(Form{form});
  growth_ *= std::max(1.0, growth / form_growth_);
  form_growth_ = std::max(form_growth_, growth);
}

Status Normalizer::add_replace(const Value& json, const std::string& path) {
  PAGODA_TRY(std::string to, string_field(json, path, "content"));
  if (to.size() > kContentBytesMax)
    return invalid_argument("tokenizer.json: " + path + ".content is too long");
  PAGODA_TRY(StepPattern from, pattern_field(json, path));
  const auto added = static_cast<double>(to.size());
  if (from.regex) {
    // Where it matches nothing, something is put in before every character.
    const double shortest = from.regex->min_chars();
    growth_ *= shortest == 0 ? 1 + added : std::max(1.0, added / shortest);
    steps_.push_back(ReplaceRegex{std::move(*from.regex), std::move(to)});
  } else {
    growth_ *= std::max(1.0, added / static_cast<double>(from.text.size()));
    steps_.push_back(ReplaceText{std::move(from.text), std::move(to)});
  }
  return check_growth(path, growth_);
}

std::string Normalizer::apply(const Step& step, std::string text) {
  if (const auto* form = std::get_if<Form>(&step)) {
    if (form->form == NormalForm::kNfc && is_nfc_quick(text)) return text;
    return normalize_unicode(text, form->form);
  }
  if (const auto* prepend = std::get_if<Prepend>(&step)) return text.empty() ? text : prepend->prefix + text;
  if (const auto* replace = std::get_if<ReplaceText>(&step))
    return replace_all(text, replace->from, replace->to);
  const auto& replace = std::get<ReplaceRegex>(step);
  return replace_all(text, replace.from, replace.to);
}

std::string Normalizer::normalize(std::string_view text) const {
  std::string out(text);
  for (const Step& step : steps_) out = apply(step, std::move(out));
  return out;
}

bool Normalizer::replaces_space() const {
  for (const Step& step : steps_) {
    const auto* replace = std::get_if<ReplaceText>(&step);
    if (replace != nullptr && replace->from == " " && replace->to.find(' ') == std::string::npos) return true;
  }
  return false;
}

}  // namespace pagoda
