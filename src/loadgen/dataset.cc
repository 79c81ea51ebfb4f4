#include "loadgen/dataset.h"

#include <algorithm>
#include <cmath>

#include "base/mmap.h"

namespace pagoda {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{4} << 30;

// Uniform in [len * (1 - ratio), len * (1 + ratio)], but at least `least`.
int64_t draw_length(int64_t len, double ratio, int64_t least, SplitMix64* rng) {
  constexpr double kRounding = 1e-9;  // 100 * 1.1 is 110.00000000000001, and 110 is meant
  double exact = static_cast<double>(len);
  auto low = static_cast<int64_t>(std::floor(exact * (1 - ratio) + kRounding));
  auto high = static_cast<int64_t>(std::ceil(exact * (1 + ratio) - kRounding));
  low = std::max(low, least);
  high = std::max(high, low);
  return low + static_cast<int64_t>(rng->below(static_cast<uint64_t>(high - low + 1)));
}

using FileParser = Result<std::vector<BenchPrompt>> (*)(const std::string&, const DatasetOptions&,
                                                        const SyntheticText&);
struct FileDataset {
  const char* name;
  FileParser parse;
};
constexpr FileDataset kFileDatasets[] = {{"sharegpt", sharegpt_prompts},
                                         {"custom", custom_prompts},
                                         {"burstgpt", burstgpt_prompts},
                                         {"timed_trace", trace_prompts}};

// Goes through the prompts again until there are as many as wanted; never for a trace, whose times it would
// break.
void fill_up(const DatasetOptions& options, std::vector<BenchPrompt>* prompts) {
  std::size_t wanted = static_cast<std::size_t>(options.num_prompts), have = prompts->size();
  if (prompts->size() > wanted) prompts->resize(wanted);
  if (!options.oversample || options.name == "timed_trace") return;
  prompts->reserve(wanted);
  for (std::size_t i = 0; prompts->size() < wanted; ++i) prompts->push_back((*prompts)[i % have]);
}

Result<std::vector<BenchPrompt>> load_file(const FileDataset& dataset, const DatasetOptions& options,
                                           const SyntheticText& text) {
  if (options.path.empty())
    return invalid_argument("--dataset-name " + options.name + " needs --dataset-path FILE", "dataset-path");
  PAGODA_TRY(std::string content, read_file(options.path, kFileBytesMax));
  Result<std::vector<BenchPrompt>> prompts = dataset.parse(content, options, text);
  if (!prompts.ok()) return std::move(prompts.status()).with_context("'" + options.path + "'");
  if (prompts->empty())
    return invalid_argument("'" + options.path + "' has no prompt that can be used", "dataset-path");
  fill_up(options, &*prompts);
  return prompts;
}

}  // namespace

std::vector<BenchPrompt> random_prompts(const DatasetOptions& options, const SyntheticText& text) {
  SplitMix64 rng(options.seed);
  std::vector<int32_t> prefix = text.draw(options.random_prefix_len, &rng);
  std::vector<BenchPrompt> prompts;
  prompts.reserve(static_cast<std::size_t>(options.num_prompts));
  for (int64_t i = 0; i < options.num_prompts; ++i) {
    std::vector<int32_t> units = prefix;
    int64_t own = draw_length(options.random_input_len, options.random_input_ratio, prefix.empty(), &rng);
    std::vector<int32_t> drawn = text.draw(own, &rng);
    units.insert(units.end(), drawn.begin(), drawn.end());
    prompts.push_back(text.make(std::move(units), &rng));
    prompts.back().output_len = draw_length(options.random_output_len, options.random_output_ratio, 1, &rng);
  }
  return prompts;
}

Result<std::vector<BenchPrompt>> prefix_repetition_prompts(const DatasetOptions& options,
                                                           const SyntheticText& text) {
  int64_t each = options.num_prompts / options.repetition_num_prefixes;
  if (each < 1)
    return invalid_argument("--num-prompts " + std::to_string(options.num_prompts) +
                                " must be at least --prefix-repetition-num-prefixes " +
                                std::to_string(options.repetition_num_prefixes),
                            "num-prompts");
  SplitMix64 rng(options.seed);
  std::vector<BenchPrompt> prompts;
  for (int64_t i = 0; i < options.repetition_num_prefixes; ++i) {
    std::vector<int32_t> prefix = text.draw(options.repetition_prefix_len, &rng);
    for (int64_t j = 0; j < each; ++j) {
      std::vector<int32_t> units = prefix, suffix = text.draw(options.repetition_suffix_len, &rng);
      units.insert(units.end(), suffix.begin(), suffix.end());
      prompts.push_back(text.make(std::move(units), &rng));
      prompts.back().output_len = options.repetition_output_len;
    }
  }
  if (options.shuffle)
    for (std::size_t i = prompts.size(); i > 1; --i) std::swap(prompts[i - 1], prompts[rng.below(i)]);
  return prompts;
}

Result<std::vector<BenchPrompt>> load_dataset(const DatasetOptions& options, const SyntheticText& text) {
  std::string known = "random, prefix_repetition";
  for (const FileDataset& dataset : kFileDatasets) {
    if (options.name == dataset.name) return load_file(dataset, options, text);
    known += std::string(", ") + dataset.name;
  }
  if (options.name != "random" && options.name != "prefix_repetition")
    return invalid_argument("--dataset-name '" + options.name + "' is not one of " + known, "dataset-name");
  if (!options.path.empty())
    return invalid_argument("--dataset-name " + options.name +
                                " reads no file: leave --dataset-path out, or name the kind of the file",
                            "dataset-path");
  if (options.name == "random") return random_prompts(options, text);
  return prefix_repetition_prompts(options, text);
}

}  // namespace pagoda
