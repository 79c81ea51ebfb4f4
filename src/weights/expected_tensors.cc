#include "weights/expected_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace pagoda {
namespace {

constexpr std::size_t kNamesShown = 6;

// "3 missing (a, b, c)"; long lists end in "...".
void append_group(std::string* text, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::span<const std::string> shown(names.data(), std::min(names.size(), kNamesShown));
  *text += fmt::format("{}{} {} ({}{})", text->empty() ? "" : "; ", names.size(), what,
                       fmt::join(shown, ", "), names.size() > kNamesShown ? ", ..." : "");
}

}  // namespace

// Greedy matching with one remembered star: linear in most cases, |pattern| * |name| at worst, no recursion.
bool name_matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = pattern.npos, star_n = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_n = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++star_n;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Status check_tensors(const Checkpoint& checkpoint, const ExpectedTensors& expected) {
  std::vector<std::string> missing, misshaped, unexpected;
  std::unordered_set<std::string_view> known;
  for (const ExpectedTensor& want : expected.tensors) {
    known.insert(want.name);
    const StoredTensor* found = checkpoint.find(want.name);
    if (found == nullptr)
      missing.push_back(want.name);
    else if (found->shape != want.shape)
      misshaped.push_back(fmt::format("{} in '{}': expected {}, found {}", want.name, found->file,
                                      shape_text(want.shape), shape_text(found->shape)));
  }
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (known.contains(tensor.name)) continue;
    bool ignored =
        std::any_of(expected.ignored.begin(), expected.ignored.end(),
                    [&](const std::string& pattern) { return name_matches(pattern, tensor.name); });
    if (!ignored) unexpected.push_back(fmt::format("{} in '{}'", tensor.name, tensor.file));
  }
  std::string text;
  append_group(&text, "missing", missing);
  append_group(&text, "of another shape", misshaped);
  append_group(&text, "that the model does not have", unexpected);
  if (text.empty()) return {};
  return invalid_argument("the checkpoint does not fit the model that config.json describes: tensors " +
                          text);
}

}  // namespace pagoda
