#include "sample/logits_filter.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace pagoda {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr TokenId kAnyToken = std::numeric_limits<TokenId>::max();

// Ids that come from a model's files (EOS, a tokenizer's added tokens) may lie outside of its own vocabulary:
// then there is nothing to change.
void change(std::span<float> logits, TokenId id, auto&& new_value) {
  if (static_cast<std::size_t>(id) < logits.size()) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = new_value(logit);
  }
}

void apply_allowed(std::span<float> logits, std::span<const TokenId> allowed,
                   std::vector<std::pair<float, TokenId>>* kept) {
  kept->clear();
  for (TokenId id : allowed) {
    change(logits, id, [&](float logit) {
      kept->push_back({logit, id});
      return logit;
    });
  }
  std::fill(logits.begin(), logits.end(), kNever);
  for (auto [logit, id] : *kept) logits[static_cast<std::size_t>(id)] = logit;
}

void ban(std::span<float> logits, std::span<const TokenId> ids) {
  for (TokenId id : ids) change(logits, id, [](float) { return kNever; });
}

// The last token of each phrase whose beginning has just been generated.
void apply_bad_words(std::span<float> logits, std::span<const std::vector<TokenId>> phrases,
                     std::span<const TokenId> output) {
  for (const std::vector<TokenId>& phrase : phrases) {
    if (phrase.empty() || phrase.size() - 1 > output.size()) continue;
    std::span<const TokenId> recent = output.last(phrase.size() - 1);
    if (std::equal(recent.begin(), recent.end(), phrase.begin())) ban(logits, {&phrase.back(), 1});
  }
}

// The tokens' mass by distance from the most probable one, in steps fine enough that the one in which top_p
// is reached holds few tokens: only those are sorted.
constexpr float kBinsPerUnit = 16;
constexpr int kNumBins = 1024;
int bin_of(float logit) {
  return static_cast<int>(std::min(-logit * kBinsPerUnit, static_cast<float>(kNumBins - 1)));
}

Cutoff top_p_cutoff(std::span<const float> logits, Cutoff kept, double top_p, FilterScratch* scratch) {
  scratch->mass.assign(kNumBins, 0.0);
  for (float logit : logits)
    if (logit >= kept.logit)
      scratch->mass[static_cast<std::size_t>(bin_of(logit))] += std::exp(static_cast<double>(logit));
  double total = 0;
  for (double mass : scratch->mass) total += mass;

  const double wanted = top_p * total;
  double sum = 0;
  int bin = 0;
  while (bin < kNumBins - 1 && sum + scratch->mass[static_cast<std::size_t>(bin)] < wanted)
    sum += scratch->mass[static_cast<std::size_t>(bin++)];

  scratch->tokens.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] >= kept.logit && bin_of(logits[i]) == bin)
      scratch->tokens.push_back({-logits[i], static_cast<TokenId>(i)});
  std::sort(scratch->tokens.begin(), scratch->tokens.end());  // descending logit, then ascending id
  for (const auto& [negated, id] : scratch->tokens) {
    kept = {-negated, id};
    sum += std::exp(static_cast<double>(-negated));
    if (sum >= wanted) break;
  }
  return kept;
}

}  // namespace

bool edits_logits(const LogitsEdit& edit) {
  const SamplingParams& params = edit.params;
  return !params.allowed_token_ids.empty() || !params.bad_words.empty() ||
         edit.output_index < params.min_tokens || !params.logit_bias.empty() || has_penalties(params);
}

void edit_logits(std::span<float> logits, const LogitsEdit& edit, FilterScratch* scratch) {
  const SamplingParams& params = edit.params;
  if (!params.allowed_token_ids.empty()) apply_allowed(logits, params.allowed_token_ids, &scratch->tokens);
  apply_bad_words(logits, params.bad_words, edit.history.output());
  if (edit.output_index < params.min_tokens) {  // as vLLM does it: EOS too, also under ignore_eos
    ban(logits, params.eos_token_ids);
    ban(logits, params.stop_token_ids);
  }
  for (auto [id, bias] : params.logit_bias)
    change(logits, id, [add = bias](float logit) { return logit + add; });
  if (has_penalties(params)) apply_penalties(logits, params, edit.history);
}

float kth_largest(std::span<const float> values, std::size_t k, std::vector<float>* scratch) {
  constexpr std::size_t kRoomMin = 256;
  const std::size_t room = std::max(2 * k, kRoomMin);
  auto select = [&] {
    std::nth_element(scratch->begin(), scratch->begin() + static_cast<long>(k) - 1, scratch->end(),
                     std::greater<>());
  };
  scratch->clear();
  float bar = kNever;  // k values seen so far are at least this large
  for (float value : values) {
    if (!(value > bar)) continue;
    scratch->push_back(value);
    if (scratch->size() < room) continue;
    select();
    scratch->resize(k);
    bar = scratch->back();
  }
  if (scratch->size() < k) return kNever;
  select();
  return (*scratch)[k - 1];
}

Cutoff find_cutoff(std::span<const float> logits, const SamplingParams& params, FilterScratch* scratch) {
  Cutoff cutoff{std::numeric_limits<float>::lowest(), kAnyToken};
  if (params.min_p > 0) cutoff.logit = static_cast<float>(std::log(static_cast<double>(params.min_p)));
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < logits.size())
    cutoff.logit =
        std::max(cutoff.logit, kth_largest(logits, static_cast<std::size_t>(params.top_k), &scratch->values));
  if (params.top_p < 1) cutoff = top_p_cutoff(logits, cutoff, static_cast<double>(params.top_p), scratch);
  return cutoff;
}

}  // namespace pagoda
