#include "weights/check_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <unordered_set>

namespace pagoda {
namespace {

constexpr std::size_t kNamesShown = 12;

// "2 tensors are missing: a, b"; long lists end in "and 7 more".
void append_group(std::string* text, const char* one, const char* many,
                  const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::span<const std::string> shown(names.data(), std::min(names.size(), kNamesShown));
  *text += fmt::format("{}{} {}: {}", text->empty() ? "" : "; ", names.size(), names.size() == 1 ? one : many,
                       fmt::join(shown, ", "));
  if (names.size() > kNamesShown) *text += fmt::format(" and {} more", names.size() - kNamesShown);
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

Status check_tensors(const Checkpoint& checkpoint, std::span<const TensorSpec> list,
                     std::span<const std::string> ignored) {
  std::vector<std::string> missing, misshaped, no_floats, unexpected;
  const std::vector<StoredShape> wanted = stored_shapes(list);
  std::unordered_set<std::string_view> known;
  for (const StoredShape& want : wanted) {
    known.insert(want.name);
    const StoredTensor* found = checkpoint.find(want.name);
    if (found == nullptr && want.optional) continue;
    if (found == nullptr)
      missing.push_back(want.name);
    else if (found->shape != want.shape)
      misshaped.push_back(fmt::format("{} in '{}': expected {}, found {}", want.name, found->file,
                                      shape_text(want.shape), shape_text(found->shape)));
    else if (found->quant.scheme == QuantScheme::kNone && !is_float_kind(found->dtype))
      no_floats.push_back(fmt::format("{} in '{}' is {}", want.name, found->file, dtype_name(found->dtype)));
  }
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (known.contains(tensor.name)) continue;
    const bool is_ignored = std::any_of(ignored.begin(), ignored.end(), [&](const std::string& pattern) {
      return name_matches(pattern, tensor.name);
    });
    if (!is_ignored) unexpected.push_back(fmt::format("{} in '{}'", tensor.name, tensor.file));
  }
  std::string text;
  append_group(&text, "tensor is missing", "tensors are missing", missing);
  append_group(&text, "tensor has another shape", "tensors have another shape", misshaped);
  append_group(&text, "tensor is not F32, F16, BF16 or F64 (a quantized checkpoint? use the original one)",
               "tensors are not F32, F16, BF16 or F64 (a quantized checkpoint? use the original one)",
               no_floats);
  append_group(&text, "tensor has no place in the model", "tensors have no place in the model", unexpected);
  if (text.empty()) return {};
  return invalid_argument("the checkpoint does not fit the model that config.json describes: " + text);
}

}  // namespace pagoda
