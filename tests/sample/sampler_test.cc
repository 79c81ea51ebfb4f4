#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "base/rng.h"
#include "ops/cpu/cpu_stream.h"

namespace pagoda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Rows of equal length as the CPU's device memory has them.
class Rows {
 public:
  Rows(std::initializer_list<std::vector<float>> rows) : Rows(std::vector<std::vector<float>>(rows)) {}
  explicit Rows(const std::vector<std::vector<float>>& rows) : columns_(rows[0].size()) {
    for (const std::vector<float>& row : rows) numbers_.insert(numbers_.end(), row.begin(), row.end());
  }
  Tensor tensor() {
    return Tensor::matrix(numbers_.data(), DType::kF32, static_cast<int64_t>(numbers_.size() / columns_),
                          static_cast<int64_t>(columns_));
  }

 private:
  std::size_t columns_;
  std::vector<float> numbers_;
};

std::vector<float> random_logits(SplitMix64* rng, int vocab, double spread) {
  std::vector<float> logits;
  for (int i = 0; i < vocab; ++i) logits.push_back(static_cast<float>((rng->uniform() * 2 - 1) * spread));
  return logits;
}

// The exact distribution, in double, by the book: no code of the sampler.
std::vector<double> exact_distribution(const std::vector<float>& raw, const SamplingParams& p,
                                       const std::vector<TokenId>& prompt,
                                       const std::vector<TokenId>& output) {
  const double never = -std::numeric_limits<double>::infinity();
  std::vector<double> x(raw.begin(), raw.end());
  if (!p.allowed_token_ids.empty())
    for (std::size_t i = 0; i < x.size(); ++i)
      if (std::count(p.allowed_token_ids.begin(), p.allowed_token_ids.end(), static_cast<TokenId>(i)) == 0)
        x[i] = never;
  for (const auto& phrase : p.bad_words) {
    std::vector<TokenId> start(phrase.begin(), phrase.end() - 1);
    if (output.size() >= start.size() &&
        std::equal(start.begin(), start.end(), output.end() - static_cast<long>(start.size())))
      x[static_cast<std::size_t>(phrase.back())] = never;
  }
  if (static_cast<int>(output.size()) < p.min_tokens) {
    for (TokenId id : p.eos_token_ids) x[static_cast<std::size_t>(id)] = never;
    for (TokenId id : p.stop_token_ids) x[static_cast<std::size_t>(id)] = never;
  }
  for (auto [id, bias] : p.logit_bias) x[static_cast<std::size_t>(id)] += static_cast<double>(bias);
  std::map<TokenId, int> count;
  for (TokenId id : output) ++count[id];
  std::set<TokenId> seen(prompt.begin(), prompt.end());
  seen.insert(output.begin(), output.end());
  for (TokenId id : seen) {
    double& logit = x[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / static_cast<double>(p.repetition_penalty)
                      : logit * static_cast<double>(p.repetition_penalty);
  }
  for (auto [id, n] : count)
    x[static_cast<std::size_t>(id)] -=
        static_cast<double>(p.frequency_penalty) * n + static_cast<double>(p.presence_penalty);

  std::vector<std::pair<double, int>> order;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] > never) order.push_back({-x[i] / static_cast<double>(p.temperature), static_cast<int>(i)});
  std::sort(order.begin(), order.end());
  const double largest = -order[0].first;
  std::erase_if(order,
                [&](const auto& o) { return std::exp(-o.first - largest) < static_cast<double>(p.min_p); });
  if (p.top_k > 0 && static_cast<std::size_t>(p.top_k) < order.size()) {
    double kth = order[static_cast<std::size_t>(p.top_k) - 1].first;
    std::erase_if(order, [&](const auto& o) { return o.first > kth; });
  }
  double total = 0, sum = 0;
  for (const auto& o : order) total += std::exp(-o.first - largest);
  std::vector<double> probability(x.size(), 0.0);
  for (const auto& o : order) {
    if (sum >= static_cast<double>(p.top_p) * total && sum > 0 && p.top_p < 1) break;
    sum += probability[static_cast<std::size_t>(o.second)] = std::exp(-o.first - largest);
  }
  for (double& q : probability) q /= sum;
  return probability;
}

struct Draws {
  CpuStream stream{2};
  Sampler sampler{2};
  // One draw per output index of [0, count).
  std::vector<TokenId> run(const std::vector<float>& logits, const SamplingParams& params, uint64_t seed,
                           const TokenHistory& history, int count, int fixed_index = -1) {
    std::vector<SampleInput> inputs(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
      inputs[static_cast<std::size_t>(i)] = {.params = &params,
                                             .seed = seed + (fixed_index < 0 ? 0u : static_cast<uint64_t>(i)),
                                             .history = &history,
                                             .output_index = fixed_index < 0 ? i : fixed_index};
    std::vector<SampleOutput> outputs(inputs.size());
    Rows rows{logits};
    sampler.sample(rows.tensor(), inputs, outputs, stream);
    std::vector<TokenId> tokens;
    for (const SampleOutput& output : outputs) {
      EXPECT_FALSE(output.bad);
      tokens.push_back(output.token);
    }
    return tokens;
  }
};

// The value that chi-squared with `freedom` degrees exceeds with probability 1e-7 (Wilson and Hilferty,
// 1931).
double chi_squared_limit(double freedom) {
  const double a = 2 / (9 * freedom), z = 5.2;
  return freedom * std::pow(1 - a + z * std::sqrt(a), 3);
}

void expect_distribution(const std::vector<TokenId>& tokens, const std::vector<double>& exact) {
  std::vector<double> count(exact.size(), 0.0);
  for (TokenId id : tokens) {
    ASSERT_GT(exact[static_cast<std::size_t>(id)], 0) << "token " << id << " is not allowed";
    ++count[static_cast<std::size_t>(id)];
  }
  const double n = static_cast<double>(tokens.size());
  double statistic = 0, cells = 0, rest_expected = 0, rest_count = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double expected = n * exact[i];
    if (expected < 8) {  // pooled
      rest_expected += expected;
      rest_count += count[i];
      continue;
    }
    statistic += (count[i] - expected) * (count[i] - expected) / expected;
    ++cells;
  }
  if (rest_expected >= 8) {
    statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    ++cells;
  }
  if (cells < 2) return;
  EXPECT_LT(statistic, chi_squared_limit(cells - 1)) << cells << " cells";
}

TEST(Sampler, DrawsTheExactDistribution) {
  SplitMix64 rng(5);
  const std::vector<TokenId> prompt = {1, 2, 3, 3}, output = {4, 5, 4, 6};
  struct Case {
    const char* name;
    SamplingParams params;
    int vocab;
    double spread;
  };
  const Case cases[] = {
      {"plain", {}, 40, 3},
      {"flat, odd size", {}, 7, 0.01},
      {"hot", {.temperature = 2.5f}, 33, 6},
      {"cold", {.temperature = 0.3f}, 50, 2},
      {"top_k", {.top_k = 5}, 60, 2},
      {"top_p", {.top_p = 0.8f}, 60, 2},
      {"min_p", {.min_p = 0.2f}, 60, 2},
      {"all", {.temperature = 0.8f, .top_p = 0.9f, .min_p = 0.02f, .top_k = 12}, 80, 3},
      {"penalties",
       {.temperature = 1.3f,
        .repetition_penalty = 1.7f,
        .frequency_penalty = 0.6f,
        .presence_penalty = -0.4f},
       20,
       2},
      {"bias and bans",
       {.min_tokens = 100000,
        .logit_bias = {{0, 2.0f}, {7, -100.0f}},
        .stop_token_ids = {9},
        .eos_token_ids = {10},
        .bad_words = {{11}, {6, 12}, {5, 13}}},
       20,
       1},
      {"allowed", {.allowed_token_ids = {3, 5, 8, 2}}, 30, 1},
  };
  Draws draws;
  uint64_t seed = 100;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::vector<float> logits = random_logits(&rng, c.vocab, c.spread);
    std::vector<TokenId> all(prompt);
    all.insert(all.end(), output.begin(), output.end());
    TokenHistory history(all, static_cast<int32_t>(prompt.size()), c.params);
    std::vector<double> exact = exact_distribution(logits, c.params, prompt, output);
    expect_distribution(draws.run(logits, c.params, ++seed, history, 60000), exact);     // over positions
    expect_distribution(draws.run(logits, c.params, ++seed, history, 60000, 4), exact);  // over seeds
  }
}

// Neighbouring positions, and the same position under neighbouring seeds, must not know of each other.
TEST(Sampler, PairsOfDrawsAreIndependent) {
  Draws draws;
  const std::vector<float> logits(6, 0.0f);
  SamplingParams params;
  TokenHistory history;
  std::vector<TokenId> tokens = draws.run(logits, params, 77, history, 60000), pairs;
  for (std::size_t i = 0; i + 1 < tokens.size(); i += 2) pairs.push_back(tokens[i] * 6 + tokens[i + 1]);
  expect_distribution(pairs, std::vector<double>(36, 1 / 36.0));
  std::vector<TokenId> next = draws.run(logits, params, 78, history, 60000);
  pairs.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) pairs.push_back(tokens[i] * 6 + next[i]);
  expect_distribution(pairs, std::vector<double>(36, 1 / 36.0));
}

TEST(Sampler, ADrawDoesNotDependOnItsNeighbours) {
  SplitMix64 rng(9);
  const int vocab = 300, count = 37;
  std::vector<std::vector<float>> rows;
  std::vector<SamplingParams> params(count);
  std::vector<TokenHistory> histories;
  for (int i = 0; i < count; ++i) {
    rows.push_back(random_logits(&rng, vocab, 4));
    SamplingParams& p = params[static_cast<std::size_t>(i)];
    p.temperature = i % 5 == 0 ? 0.0f : 0.5f + 0.1f * static_cast<float>(i % 7);
    p.top_k = i % 3 == 0 ? 20 : 0;
    p.top_p = i % 4 == 0 ? 0.7f : 1.0f;
    p.frequency_penalty = i % 2 == 0 ? 0.5f : 0.0f;
    p.num_logprobs = i % 6 - 1;
    histories.emplace_back(std::vector<TokenId>{1, 2, static_cast<TokenId>(i)}, 1, p);
  }
  auto input = [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    return SampleInput{.logits_row = at,
                       .params = &params[at],
                       .seed = static_cast<uint64_t>(i % 4),
                       .history = &histories[at],
                       .output_index = 2};
  };
  CpuStream one(1), three(3);
  Rows logits(rows);
  Sampler sampler(3);
  std::vector<SampleInput> all;
  for (int i = 0; i < count; ++i) all.push_back(input(i));
  std::vector<SampleOutput> together(all.size());
  std::vector<TopLogprob> tops(5 * all.size());
  for (std::size_t i = 0; i < all.size(); ++i) together[i].top = {tops.data() + 5 * i, 5};
  sampler.sample(logits.tensor(), all, together, three);
  for (int i = count - 1; i >= 0; --i) {
    SampleInput alone = input(i);
    TopLogprob top[5] = {};
    SampleOutput out;
    out.top = top;
    Rows own{rows[alone.logits_row]};
    alone.logits_row = 0;
    sampler.sample(own.tensor(), {&alone, 1}, {&out, 1}, one);
    const SampleOutput& other = together[static_cast<std::size_t>(i)];
    EXPECT_EQ(out.token, other.token);
    EXPECT_EQ(out.logprob, other.logprob);
    EXPECT_EQ(out.rank, other.rank);
    for (std::size_t k = 0; k < 5; ++k) {
      EXPECT_EQ(out.top[k].id, other.top[k].id);
      EXPECT_EQ(out.top[k].logprob, other.top[k].logprob);
    }
  }
}

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  Draws draws;
  SamplingParams params;
  params.temperature = 0;
  TokenHistory history;
  EXPECT_EQ(draws.run({1, 3, 2, 3, 3}, params, 1, history, 1), std::vector<TokenId>{1});
  params.temperature = 9e-6f;
  EXPECT_EQ(draws.run({-kInf, -5, -5}, params, 1, history, 1), std::vector<TokenId>{1});
  params.logit_bias = {{2, 1.0f}};
  EXPECT_EQ(draws.run({-kInf, -5, -5}, params, 1, history, 1), std::vector<TokenId>{2});
  params = {};
  params.top_k = 1;  // the draw among one
  EXPECT_EQ(draws.run({0, 7, 2}, params, 1, history, 3), (std::vector<TokenId>{1, 1, 1}));
  params.top_k = 0;
  params.temperature = 1e-5f;  // extreme, not greedy: must not overflow
  EXPECT_EQ(draws.run({3e38f, -3e38f, 2.9e38f}, params, 1, history, 2), (std::vector<TokenId>{0, 0}));
}

TEST(Sampler, AppliesTheMask) {
  CpuStream stream(1);
  Sampler sampler(1);
  std::vector<float> logits(40, 0.0f);
  logits[3] = 9;
  SamplingParams params;
  params.temperature = 0;
  params.num_logprobs = 1;
  TokenHistory history;
  const uint32_t mask[2] = {0, 1u << 5};  // 37
  Rows rows{logits};
  SampleInput input{.params = &params, .history = &history, .mask = mask};
  TopLogprob top[1];
  SampleOutput out;
  out.top = top;
  sampler.sample(rows.tensor(), {&input, 1}, {&out, 1}, stream);
  EXPECT_EQ(out.token, 37);
  EXPECT_EQ(out.rank, 38);      // of the raw ones: after token 3 and its 36 equals of lower ids
  EXPECT_EQ(out.top[0].id, 3);  // raw, too
  const uint32_t none[2] = {0, 0};
  input.mask = none;
  sampler.sample(rows.tensor(), {&input, 1}, {&out, 1}, stream);
  EXPECT_TRUE(out.bad && out.nothing_allowed);
}

// Samples of one row with masks of their own, a draw of them and an edit behind it, and one without.
TEST(Sampler, AMaskIsThatOfItsSampleAlone) {
  SplitMix64 rng(3);
  const int vocab = 70;
  Rows rows{random_logits(&rng, vocab, 3), random_logits(&rng, vocab, 3)};
  SamplingParams greedy, drawn, edited;
  greedy.temperature = 0;
  edited.temperature = 0;
  edited.bad_words = {{11}};
  TokenHistory history;
  const uint32_t eleven_or_twelve[3] = {3u << 11, 0, 0}, last[3] = {0, 0, 1u << 5};
  CpuStream stream(3);
  Sampler sampler(3);
  std::vector<SampleInput> inputs = {
      {.logits_row = 1, .params = &greedy, .history = &history, .mask = last},
      {.logits_row = 0, .params = &greedy, .history = &history},
      {.logits_row = 1, .params = &edited, .history = &history, .mask = eleven_or_twelve},
      {.logits_row = 1, .params = &greedy, .history = &history},
      {.logits_row = 0, .params = &drawn, .history = &history, .mask = last}};
  std::vector<SampleOutput> out(inputs.size());
  sampler.sample(rows.tensor(), inputs, out, stream);
  EXPECT_EQ(out[0].token, 69);
  EXPECT_EQ(out[2].token, 12);
  EXPECT_EQ(out[4].token, 69);
  for (std::size_t i : {1, 3}) {
    const float* row = rows.tensor().row<float>(static_cast<int64_t>(inputs[i].logits_row));
    EXPECT_EQ(out[i].token, std::max_element(row, row + vocab) - row);
  }
}

// Filters that leave nothing are told from logits that are no numbers, whatever else is asked for.
TEST(Sampler, FiltersThatLeaveNothingAreToldFromBadLogits) {
  using Change = std::function<void(SamplingParams*)>;
  const Change filters[] = {
      [](SamplingParams* p) { p->allowed_token_ids = {1}, p->bad_words = {{1}}; },
      [](SamplingParams* p) {
        p->bad_words = {{0}, {1}, {2}, {3}};
      },
      [](SamplingParams* p) {
        p->stop_token_ids = {0, 1, 2, 3}, p->min_tokens = 1;
      },
      [](SamplingParams* p) { p->allowed_token_ids = {2}, p->eos_token_ids = {2}, p->min_tokens = 1; },
      [](SamplingParams* p) { p->allowed_token_ids = {9}; },  // beyond the vocabulary
  };
  const Change others[] = {
      [](SamplingParams* p) { p->temperature = 0; },
      [](SamplingParams* p) { p->top_k = 1; },
      [](SamplingParams* p) { p->top_p = 0.1f, p->min_p = 0.5f; },
      [](SamplingParams* p) {
        p->logit_bias = {{0, 100.0f}, {1, 100.0f}, {2, 100.0f}, {3, 100.0f}};
      },
      [](SamplingParams* p) { p->repetition_penalty = 1e10f, p->presence_penalty = -2; },
      [](SamplingParams* p) { p->num_logprobs = 3; },
  };
  CpuStream stream(1);
  Sampler sampler(1);
  for (const Change& filter : filters)
    for (const Change& other : others) {
      SamplingParams params;
      filter(&params);
      other(&params);
      TokenHistory history;
      for (bool finite : {true, false}) {
        Rows rows{{1, finite ? 2.0f : NAN, 3, -kInf}};
        SampleInput input{.params = &params, .history = &history};
        SampleOutput out;
        sampler.sample(rows.tensor(), {&input, 1}, {&out, 1}, stream);
        EXPECT_TRUE(out.bad);
        EXPECT_EQ(out.nothing_allowed, finite);
      }
    }
  // A bias forbids nothing.
  SamplingParams params;
  params.temperature = 0;
  params.allowed_token_ids = {0, 1};
  params.logit_bias = {{0, -100.0f}, {1, -100.0f}};
  TokenHistory history;
  Rows rows{{1, 2, 3, 4}};
  SampleInput input{.params = &params, .history = &history};
  SampleOutput out;
  sampler.sample(rows.tensor(), {&input, 1}, {&out, 1}, stream);
  EXPECT_FALSE(out.bad);
  EXPECT_EQ(out.token, 1);
}

TEST(Sampler, IdsOutsideOfTheVocabularyChangeNothing) {
  Draws draws;
  SamplingParams params;
  params.temperature = 0;
  params.min_tokens = 9;
  params.eos_token_ids = {1, 4, 1 << 30};
  params.stop_token_ids = {-1};
  params.bad_words = {{5}};
  params.logit_bias = {{6, 50.0f}};
  TokenHistory history;
  EXPECT_EQ(draws.run({0, 9, 2, 1}, params, 1, history, 1), std::vector<TokenId>{2});
  params.allowed_token_ids = {0, 8};
  EXPECT_EQ(draws.run({0, 9, 2, 1}, params, 1, history, 1), std::vector<TokenId>{0});
}

TEST(Sampler, NonFiniteLogitsAreBadForThatSampleOnly) {
  CpuStream stream(2);
  Sampler sampler(2);
  Rows rows{{1, NAN, 0}, {1, kInf, 0}, {1, -kInf, 0}, {-kInf, -kInf, -kInf}};
  for (float temperature : {0.0f, 1.0f}) {
    SamplingParams params;
    params.temperature = temperature;
    TokenHistory history;
    std::vector<SampleInput> inputs;
    for (std::size_t row = 0; row < 4; ++row)
      inputs.push_back({.logits_row = row, .params = &params, .history = &history});
    for (std::size_t row = 0; row < 4; ++row)
      inputs.push_back(
          {.logits_row = row, .params = &params, .kind = SampleKind::kPromptLogprobs, .target = 2});
    std::vector<SampleOutput> out(inputs.size());
    sampler.sample(rows.tensor(), inputs, out, stream);
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_EQ(out[i].bad, i % 4 != 2) << i;
      if (out[i].bad) {
        EXPECT_EQ(out[i].token, 0);
      }
    }
    EXPECT_NE(out[2].token, 1);
    EXPECT_EQ(out[6].token, 2);
  }
}

TEST(TokenHistory, CountsFollowAppendAndTruncate) {
  SamplingParams params;
  params.presence_penalty = 1;
  auto count = [](const TokenHistory& of, TokenId token) {
    for (const SeenToken& seen : of.seen())
      if (seen.token == token) return seen.output_count;
    return -1;
  };
  TokenHistory history(std::vector<TokenId>{5, 6}, 2, params);
  for (TokenId id : {7, 7, 5}) history.append(id);
  EXPECT_EQ(count(history, 7), 2);
  EXPECT_EQ(count(history, 5), 1);
  EXPECT_EQ(history.seen().size(), 3u);
  EXPECT_TRUE(history.seen()[0].in_prompt);
  history.truncate(3);
  EXPECT_EQ(count(history, 7), 1);
  EXPECT_EQ(count(history, 5), 0);
  ASSERT_EQ(history.output().size(), 1u);
  TokenHistory again(std::vector<TokenId>{5, 6, 7}, 2, params);
  std::vector<float> a(10, 1.0f), b(10, 1.0f);
  params.repetition_penalty = 2;
  apply_penalties(a, params, history);
  apply_penalties(b, params, again);
  EXPECT_EQ(a, b);
  EXPECT_EQ(a[5], 0.5f);
  EXPECT_EQ(a[7], -0.5f);
  EXPECT_EQ(a[0], 1.0f);
}

}  // namespace
}  // namespace pagoda
