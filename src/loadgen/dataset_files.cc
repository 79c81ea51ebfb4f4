// Datasets that hold texts or lengths: ShareGPT, custom JSONL, BurstGPT.
#include <algorithm>
#include <charconv>
#include <numeric>
#include <string_view>

#include "base/json.h"
#include "loadgen/dataset.h"
#include "loadgen/json_lines.h"

namespace pagoda {
namespace {

// vLLM's rule for ShareGPT: neither trivial nor longer than what was long when it was gathered.
constexpr int64_t kTokensMin = 4, kPromptTokensMax = 1024, kTotalTokensMax = 2048;

std::vector<std::size_t> order_of(std::size_t count, const DatasetOptions& options, SplitMix64* rng) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (options.shuffle)
    for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng->below(i)]);
  return order;
}

// The text of turn `index`; nullptr if it is not there.
const std::string* turn_text(const Value& entry, std::size_t index) {
  const Value* turns = entry.find("conversations");
  if (turns == nullptr || !turns->is_array() || turns->as_array().size() < 2) return nullptr;
  const Value* value = turns->as_array()[index].find("value");
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

bool has_usable_lengths(const BenchPrompt& prompt, bool output_is_given) {
  return prompt.prompt_len >= kTokensMin && (output_is_given || prompt.output_len >= kTokensMin) &&
         prompt.prompt_len <= kPromptTokensMax && prompt.prompt_len + prompt.output_len <= kTotalTokensMax;
}

// One line of a CSV file: fields between commas, without quotes (BurstGPT has none).
std::vector<std::string_view> csv_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

// A whole number, also as "12.0", of at most kLengthMax.
bool parse_length(std::string_view text, int64_t* out) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (!(number >= 0 && number <= static_cast<double>(kLengthMax))) return false;
  *out = static_cast<int64_t>(number);
  return true;
}

struct BurstColumns {
  std::size_t model, request, response;
};

Result<BurstColumns> find_columns(std::string_view header) {
  std::vector<std::string_view> names = csv_fields(header);
  auto column = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  BurstColumns columns{column("Model"), column("Request tokens"), column("Response tokens")};
  if (std::max({columns.model, columns.request, columns.response}) < names.size()) return columns;
  return invalid_argument("line 1 must name the columns Model, Request tokens and Response tokens");
}

}  // namespace

Result<std::vector<BenchPrompt>> sharegpt_prompts(const std::string& content, const DatasetOptions& options,
                                                  const SyntheticText& text) {
  constexpr std::size_t kFileValuesMax = std::size_t{1} << 28;  // the user's own file
  PAGODA_TRY(Value list, parse_json(content, {.values_max = kFileValuesMax}));
  if (!list.is_array()) return invalid_argument("a JSON array of conversations is meant");
  const Array& entries = list.as_array();
  SplitMix64 rng(options.seed);
  std::vector<BenchPrompt> prompts;
  for (std::size_t index : order_of(entries.size(), options, &rng)) {
    if (std::ssize(prompts) >= options.num_prompts) break;
    const std::string* question = turn_text(entries[index], 0);
    const std::string* answer = turn_text(entries[index], 1);
    if (question == nullptr || answer == nullptr) continue;
    BenchPrompt prompt;
    prompt.text = *question;
    prompt.prompt_len = text.count_tokens(*question);
    prompt.output_len =
        options.sharegpt_output_len ? *options.sharegpt_output_len : text.count_tokens(*answer);
    if (has_usable_lengths(prompt, options.sharegpt_output_len.has_value()))
      prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::vector<BenchPrompt>> custom_prompts(const std::string& content, const DatasetOptions& options,
                                                const SyntheticText& text) {
  std::vector<BenchPrompt> all;
  Status status = for_each_json_line(content, [&](const Value& line) -> Status {
    const Value* question = line.find("prompt");
    if (question == nullptr || !question->is_string()) return invalid_argument("`prompt` must be a string");
    BenchPrompt prompt;
    prompt.text = question->as_string();
    prompt.output_len = options.custom_output_len;
    if (options.custom_output_len < 0) {
      const Value* length = line.find("output_tokens");
      if (length == nullptr || !length->is_int() || length->as_int() < 1 || length->as_int() > kLengthMax)
        return invalid_argument("`output_tokens` must be a positive integer (--custom-output-len is -1)");
      prompt.output_len = length->as_int();
    }
    all.push_back(std::move(prompt));
    return {};
  });
  if (!status.ok()) return status;
  SplitMix64 rng(options.seed);
  std::vector<BenchPrompt> prompts;
  for (std::size_t index : order_of(all.size(), options, &rng)) {
    if (std::ssize(prompts) >= options.num_prompts) break;
    all[index].prompt_len = text.count_tokens(all[index].text);
    prompts.push_back(std::move(all[index]));
  }
  return prompts;
}

Result<std::vector<BenchPrompt>> burstgpt_prompts(const std::string& content, const DatasetOptions& options,
                                                  const SyntheticText& text) {
  struct Lengths {
    int64_t input, output;
  };
  std::vector<Lengths> rows;
  std::optional<BurstColumns> columns;
  Status status = for_each_line(content, [&](std::string_view line) -> Status {
    if (!columns) {
      PAGODA_TRY(columns, find_columns(line));
      return {};
    }
    std::vector<std::string_view> fields = csv_fields(line);
    if (fields.size() <= std::max({columns->model, columns->request, columns->response}))
      return invalid_argument("it has " + std::to_string(fields.size()) + " columns, fewer than line 1");
    if (fields[columns->model] != "GPT-4") return {};
    Lengths lengths;
    if (!parse_length(fields[columns->request], &lengths.input) ||
        !parse_length(fields[columns->response], &lengths.output))
      return invalid_argument("Request tokens and Response tokens must be whole numbers up to " +
                              std::to_string(kLengthMax));
    if (lengths.output > 0) rows.push_back(lengths);
    return {};
  });
  if (!status.ok()) return status;
  SplitMix64 rng(options.seed);
  std::vector<std::size_t> order = order_of(rows.size(), options, &rng);
  order.resize(std::min(order.size(), static_cast<std::size_t>(options.num_prompts)));
  int64_t total = 0;
  for (std::size_t index : order) PAGODA_RETURN_IF_ERROR(add_length(rows[index].input, &total));
  std::vector<BenchPrompt> prompts;
  for (std::size_t index : order) {
    prompts.push_back(text.make(text.draw(std::max<int64_t>(rows[index].input, 1), &rng), &rng));
    prompts.back().output_len = rows[index].output;
  }
  return prompts;
}

}  // namespace pagoda
