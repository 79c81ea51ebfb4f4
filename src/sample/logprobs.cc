#include "sample/logprobs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace pagoda {

double log_sum_exp(std::span<const float> logits) {
  const double largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum[4] = {};  // lane i: ids i, i + 4, ...
  for (std::size_t i = 0; i < logits.size(); ++i)
    sum[i % 4] += std::exp(static_cast<double>(logits[i]) - largest);
  return largest + std::log((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

TokenLogprob token_logprob(std::span<const float> logits, double log_sum, TokenId token) {
  const auto place = static_cast<std::size_t>(token);
  const float logit = logits[place];
  int32_t before = 0;
  for (std::size_t i = 0; i < place; ++i) before += logits[i] >= logit;
  for (std::size_t i = place + 1; i < logits.size(); ++i) before += logits[i] > logit;
  return {static_cast<float>(static_cast<double>(logit) - log_sum), before + 1};
}

void top_logprobs(std::span<const float> logits, double log_sum, std::span<TopLogprob> out,
                  std::vector<std::pair<float, TokenId>>* scratch) {
  const std::size_t k = out.size();
  PAGODA_CHECK(k <= logits.size(), "no more alternatives than tokens");
  if (k == 0) return;
  constexpr std::size_t kRoomMin = 256;
  const std::size_t room = std::max(2 * k, kRoomMin);
  auto kth = [&] { return scratch->begin() + static_cast<long>(k) - 1; };
  scratch->clear();
  bool full = false;  // k candidates are there; a later token must be above the least of them
  float bar = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (full && !(logits[i] > bar)) continue;
    scratch->push_back({-logits[i], static_cast<TokenId>(i)});
    if (scratch->size() < room) continue;
    std::nth_element(scratch->begin(), kth(), scratch->end());
    scratch->resize(k);
    full = true;
    bar = -scratch->back().first;
  }
  std::partial_sort(scratch->begin(), kth() + 1, scratch->end());
  for (std::size_t i = 0; i < k; ++i)
    out[i] = {(*scratch)[i].second, static_cast<float>(-static_cast<double>((*scratch)[i].first) - log_sum)};
}

}  // namespace pagoda
