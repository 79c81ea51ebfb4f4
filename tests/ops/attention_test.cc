#include "ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

struct Case {
  const char* name;
  int32_t heads, kv_heads, head_dim, block_size;
  std::vector<std::pair<int32_t, int32_t>> seqs;  // tokens in the cache before the step, tokens of the step
  DType dtype = DType::kF32;
  int32_t window = 0;
  float softcap = 0;
};

// Whether queries and weights are rounded to bfloat16 before they are multiplied.
bool is_bf16_product(DType dtype) {
  return dtype == DType::kBF16 || dtype == DType::kF8E4M3;
}

// K, V and Q of whole sequences, by position, so that any schedule of the same tokens can be replayed.
struct Story {
  Story(const Case& c, uint32_t seed) : test(c) {
    Random random(seed);
    for (auto [before, now] : c.seqs) {
      const int64_t length = before + now;
      auto& k = keys.emplace_back(std::make_unique<Matrix>(length, c.kv_heads * c.head_dim));
      auto& v = values.emplace_back(std::make_unique<Matrix>(length, c.kv_heads * c.head_dim));
      auto& q = queries.emplace_back(std::make_unique<Matrix>(length, c.heads * c.head_dim));
      random.fill(*k);
      random.fill(*v);
      random.fill(*q, 2);
    }
  }
  int32_t num_seqs() const { return static_cast<int32_t>(keys.size()); }
  int32_t length(int32_t seq) const {
    return static_cast<int32_t>(keys[static_cast<std::size_t>(seq)]->rows());
  }
  // What the cache holds of keys or values, and queries as the kernels read them: [seq][position][column].
  using Held = std::vector<std::vector<double>>;
  Held held(std::vector<std::unique_ptr<Matrix>>& parts) const {
    Held out;
    for (auto& part : parts) {
      auto& numbers = out.emplace_back();
      for (int64_t p = 0; p < part->rows(); ++p)
        for (int64_t i = 0; i < part->columns(); i += test.head_dim) hold(part->row(p) + i, &numbers);
    }
    return out;
  }

  Case test;
  std::vector<std::unique_ptr<Matrix>> keys, values, queries;

 private:
  void hold(const float* head, std::vector<double>* out) const {
    float peak = 0;
    for (int32_t d = 0; d < test.head_dim; ++d) peak = std::max(peak, std::fabs(head[d]));
    for (int32_t d = 0; d < test.head_dim; ++d) out->push_back(held(head[d], peak));
  }
  double held(float x, float peak) const {
    const float scale = peak / (test.dtype == DType::kI8 ? 127 : 448);
    if (test.dtype == DType::kI8)
      return static_cast<double>(std::rint(x * (1 / scale))) * static_cast<double>(scale);
    if (test.dtype == DType::kF8E4M3)
      return static_cast<double>(e4m3_to_float(float_to_e4m3(x * (1 / scale)))) * static_cast<double>(scale);
    return static_cast<double>(rounded_to(test.dtype, x));
  }
};

// The cache of one layer, all NaN before use: whatever reads beyond what was stored shows. Blocks are handed
// out in a shuffled order; block 0 is nobody's.
class Cache {
 public:
  Cache(const Story& story, int32_t block_size, uint32_t seed) : block_size_(block_size) {
    const Case& c = story.test;
    for (int32_t seq = 0; seq < story.num_seqs(); ++seq)
      max_blocks_ = std::max(max_blocks_, (story.length(seq) + block_size - 1) / block_size);
    const int32_t num_blocks = story.num_seqs() * max_blocks_ + 1;
    std::vector<int32_t> ids(static_cast<std::size_t>(num_blocks - 1));
    std::iota(ids.begin(), ids.end(), 1);
    if (seed != 0) Random(seed).shuffle(ids);
    table_ = std::make_unique<Guarded<int32_t>>(story.num_seqs() * max_blocks_);
    for (int64_t i = 0; i < table_->size(); ++i) (*table_)[i] = ids[static_cast<std::size_t>(i)];
    const auto bytes =
        static_cast<int64_t>(kv_block_bytes(c.dtype, c.kv_heads, c.head_dim, block_size)) * num_blocks;
    bytes_ = std::make_unique<Guarded<uint8_t>>(bytes, uint8_t{0xFF});
    view = {bytes_->data(), c.dtype, c.kv_heads, c.head_dim, block_size};
  }
  const int32_t* row(int32_t seq) const { return table_->data() + seq * max_blocks_; }
  int64_t slot(int32_t seq, int32_t position) const {
    return int64_t{row(seq)[position / block_size_]} * block_size_ + position % block_size_;
  }
  int32_t max_blocks() const { return max_blocks_; }
  KvLayerView view;

 private:
  int32_t block_size_, max_blocks_ = 0;
  std::unique_ptr<Guarded<int32_t>> table_;
  std::unique_ptr<Guarded<uint8_t>> bytes_;
};

struct Span {
  int32_t seq, begin, end;  // positions of this step
};

// Stores one step of `spans` and, if asked to, attends; the rows of out follow the spans.
std::unique_ptr<Matrix> step(Story& story, Cache& cache, const std::vector<Span>& spans, Machine& machine,
                             bool attend = true) {
  const Case& c = story.test;
  int32_t total = 0;
  for (const Span& span : spans) total += span.end - span.begin;
  Matrix k(total, c.kv_heads * c.head_dim, 1), v(total, c.kv_heads * c.head_dim, 2),
      q(total, c.heads * c.head_dim, 3);
  // By turns: the cache's tables through their rows, or the batch's own in its order.
  const bool through_rows = spans.size() % 2 == 0;
  std::vector<int32_t> starts = {0}, lengths, table, rows;
  std::vector<int64_t> slots;
  for (const Span& span : spans) {
    const auto seq = static_cast<std::size_t>(span.seq);
    for (int32_t p = span.begin; p < span.end; ++p) {
      const auto t = static_cast<int64_t>(slots.size());
      std::copy_n(story.keys[seq]->row(p), k.columns(), k.row(t));
      std::copy_n(story.values[seq]->row(p), k.columns(), v.row(t));
      std::copy_n(story.queries[seq]->row(p), q.columns(), q.row(t));
      slots.push_back(cache.slot(span.seq, p));
    }
    starts.push_back(static_cast<int32_t>(slots.size()));
    lengths.push_back(span.end);
    table.insert(table.end(), cache.row(span.seq), cache.row(span.seq) + cache.max_blocks());
    rows.push_back(span.seq);
  }
  AttnBatch batch;
  batch.query_start_loc = starts.data();
  batch.seq_lens = lengths.data();
  batch.block_table = through_rows ? cache.row(0) : table.data();
  if (through_rows) batch.table_rows = rows.data();
  batch.slot_mapping = slots.data();
  batch.num_seqs = static_cast<int32_t>(spans.size());
  batch.num_tokens = total;
  batch.max_blocks = cache.max_blocks();
  batch.block_size = cache.view.block_size;
  batch.window = c.window;
  batch.softcap = c.softcap;
  batch.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  kv_store(cache.view, k.tensor(), v.tensor(), batch, machine.stream);
  auto out = std::make_unique<Matrix>(total, c.heads * c.head_dim, 4);
  if (attend) paged_attention(out->tensor(), q.tensor(), cache.view, batch, c.heads, machine.stream);
  return out;
}

// The tokens before the step go in first, then all sequences' steps as one batch.
std::unique_ptr<Matrix> play(Story& story, Machine& machine, int32_t block_size, uint32_t shuffle) {
  Cache cache(story, block_size, shuffle);
  std::vector<Span> before, now;
  for (int32_t seq = 0; seq < story.num_seqs(); ++seq) {
    const int32_t split = story.test.seqs[static_cast<std::size_t>(seq)].first;
    if (split > 0) before.push_back({seq, 0, split});
    now.push_back({seq, split, story.length(seq)});
  }
  if (!before.empty()) step(story, cache, before, machine, false);
  return step(story, cache, now, machine);
}

// Softmax attention in double over K and V as the cache's dtype holds them.
class Reference {
 public:
  explicit Reference(Story& story)
      : test_(story.test), keys_(story.held(story.keys)), values_(story.held(story.values)) {
    for (auto& part : story.queries) {
      auto& numbers = queries_.emplace_back();
      for (int64_t p = 0; p < part->rows(); ++p)
        for (int64_t i = 0; i < part->columns(); ++i) {
          const float x = part->row(p)[i];
          numbers.push_back(
              static_cast<double>(is_bf16_product(test_.dtype) ? rounded_to(DType::kBF16, x) : x));
        }
    }
  }

  void attend(std::size_t seq, int32_t position, int32_t head) {
    const int32_t dim = test_.head_dim, kv_head = head / (test_.heads / test_.kv_heads);
    const int32_t first = test_.window > 0 ? std::max(0, position - test_.window + 1) : 0;
    const double scale = static_cast<double>(1 / std::sqrt(static_cast<float>(dim)));
    const double* q = &queries_[seq][static_cast<std::size_t>((position * test_.heads + head) * dim)];
    auto row = [&](const Story::Held& held, int32_t key) {
      return &held[seq][static_cast<std::size_t>((key * test_.kv_heads + kv_head) * dim)];
    };
    double peak = 0;
    for (int32_t d = 0; d < dim; ++d) peak = std::max(peak, std::fabs(q[d]));
    largest_score = largest_step = largest_value = 0;
    std::vector<double> scores;
    for (int32_t key = first; key <= position; ++key) {
      double score = 0, size = 0, sum = 0;
      for (int32_t d = 0; d < dim; ++d) {
        score += q[d] * row(keys_, key)[d];
        size += std::fabs(q[d] * row(keys_, key)[d]);
        sum += std::fabs(row(keys_, key)[d]);
        largest_value = std::max(largest_value, std::fabs(row(values_, key)[d]));
      }
      score *= scale;
      if (test_.softcap > 0) score = test_.softcap * std::tanh(score / test_.softcap);
      scores.push_back(score);
      largest_score = std::max(largest_score, size * scale);
      largest_step = std::max(largest_step, peak / 32512 / 2 * sum * scale);
    }
    const double high = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - high);
    out.assign(static_cast<std::size_t>(dim), 0);
    for (int32_t key = first; key <= position; ++key)
      for (int32_t d = 0; d < dim; ++d)
        out[static_cast<std::size_t>(d)] +=
            scores[static_cast<std::size_t>(key - first)] / sum * row(values_, key)[d];
  }

  std::vector<double> out;
  // The greatest sum of |q k| of a key, what rounding q to 16-bit steps moves a score by, the greatest |v|.
  double largest_score = 0, largest_step = 0, largest_value = 0;

 private:
  const Case test_;
  Story::Held keys_, values_, queries_;
};

// A score's error is absolute in the exponent, and moves weights by as much, relatively: head_dim + 4
// roundings of its terms (and 1e-7 * softcap); with an int8 cache also the steps of q. Then a chain of one
// rounding per key, few of the size of the sum. Weights rounded to bfloat16 are off by 2^-9 relatively, and
// so is what they are divided by; weights in steps of 1/16383 of a tile's greatest, by half a step for each
// of the 64 keys of a tile.
double bound_of(const Reference& exact, const Case& c, int32_t position) {
  const bool int8 = c.dtype == DType::kI8;
  const double score = (c.head_dim + 4) * 0x1p-24 * exact.largest_score +
                       2e-7 * static_cast<double>(c.softcap) + (int8 ? exact.largest_step : 0);
  const double weights = is_bf16_product(c.dtype) ? 2.02 * 0x1p-9 : int8 ? 32.0 / 16383 : 0;
  return exact.largest_value * (2 * score + weights + (std::sqrt(position + 1.0) * 4 + 32) * 0x1p-24);
}

void expect_near_reference(Story& story, Matrix& out, const char* isa) {
  const Case& c = story.test;
  Reference exact(story);
  int64_t t = 0;
  for (int32_t seq = 0; seq < story.num_seqs(); ++seq)
    for (int32_t p = c.seqs[static_cast<std::size_t>(seq)].first; p < story.length(seq); ++p, ++t)
      for (int32_t head = 0; head < c.heads; ++head) {
        exact.attend(static_cast<std::size_t>(seq), p, head);
        const double bound = bound_of(exact, c, p);
        for (int32_t d = 0; d < c.head_dim; ++d)
          ASSERT_NEAR(static_cast<double>(out.row(t)[head * c.head_dim + d]),
                      exact.out[static_cast<std::size_t>(d)], bound)
              << c.name << ' ' << dtype_name(c.dtype) << ' ' << isa << " seq " << seq << " position " << p
              << " head " << head << " dim " << d;
      }
}

const Case kCases[] = {
    {"one token", 1, 1, 16, 16, {{0, 1}}},
    {"prompts and decodes", 4, 2, 64, 16, {{0, 37}, {5, 1}, {130, 1}, {63, 2}, {60, 9}}},
    {"many queries per KV head", 12, 1, 32, 32, {{0, 70}, {40, 1}}},
    {"no grouping, odd head", 3, 3, 20, 16, {{0, 19}, {66, 3}}},
    {"tiny head", 2, 1, 1, 16, {{0, 33}}},
    {"several partitions", 4, 2, 16, 64, {{1100, 1}, {1000, 40}, {511, 1}, {512, 1}}},
    {"one long sequence", 4, 2, 16, 16, {{2000, 1}}},  // its partitions go to different threads
    {"f16 cache", 8, 4, 48, 16, {{0, 80}, {77, 5}}, DType::kF16},
    {"blocks that are no panels", 4, 2, 24, 5, {{0, 70}, {90, 3}}, DType::kBF16},
    {"long and short together", 8, 2, 16, 16, {{2500, 1}, {3, 1}, {0, 130}, {700, 9}, {0, 1}}},
    {"blocks of one", 2, 2, 16, 1, {{0, 40}, {33, 1}}},
    {"window", 4, 2, 16, 16, {{0, 150}, {900, 3}}, DType::kF32, 50},
    {"window of one", 2, 1, 16, 16, {{0, 40}}, DType::kF32, 1},
    {"window over partitions", 4, 2, 16, 16, {{1500, 2}}, DType::kF32, 700},
    {"soft cap", 4, 2, 32, 16, {{0, 90}, {100, 1}}, DType::kF32, 0, 5.0f},
};

// For the caches that have kernels of their own.
const Case kNarrowCases[] = {
    {"groups of 4", 8, 2, 64, 16, {{0, 80}, {600, 1}, {1030, 1}}},
    {"groups of 3", 6, 2, 80, 32, {{0, 100}, {63, 1}, {64, 1}}},
    {"groups of 8", 8, 1, 96, 8, {{0, 70}, {127, 3}}},
    {"no grouping", 2, 2, 128, 16, {{0, 67}, {90, 1}}},
    {"a wide group", 20, 1, 16, 16, {{0, 66}, {5, 1}}},
    {"odd heads", 3, 3, 20, 16, {{0, 19}, {66, 3}}},
    {"odd dim", 2, 1, 7, 16, {{0, 33}, {64, 2}}},
    {"one dim", 2, 1, 1, 16, {{0, 33}}},
    {"blocks of one", 2, 2, 16, 1, {{0, 40}, {33, 1}}},
    {"blocks of five", 4, 2, 24, 5, {{0, 70}, {90, 3}}},
    {"window", 4, 2, 16, 16, {{0, 150}, {900, 3}}, DType::kF32, 50},
    {"window of one", 2, 1, 16, 16, {{0, 40}}, DType::kF32, 1},
    {"window over partitions", 4, 2, 16, 16, {{1500, 2}}, DType::kF32, 700},
    {"soft cap", 4, 2, 32, 16, {{0, 90}, {100, 1}}, DType::kF32, 0, 5.0f},
    {"long and short together", 8, 2, 16, 16, {{2500, 1}, {3, 1}, {0, 130}, {700, 9}, {0, 1}}},
};
std::vector<Case> all_cases() {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  for (DType dtype : {DType::kBF16, DType::kI8, DType::kF8E4M3})
    for (Case c : kNarrowCases) {
      c.dtype = dtype;
      cases.push_back(c);
    }
  return cases;
}

TEST(Attention, EveryVariantAgainstDoubleAndBitForBitAgainstTheScalarOne) {
  for (const Case& c : all_cases()) {
    Story story(c, 7);
    Machine machine(2);
    std::unique_ptr<Matrix> scalar;
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      auto out = play(story, machine, c.block_size, 1);
      if (!scalar) {
        ASSERT_NO_FATAL_FAILURE(expect_near_reference(story, *out, isa_name(isa)));
        scalar = std::move(out);
      } else {
        expect_same(*out, *scalar, std::string(c.name) + " on " + isa_name(isa));
      }
    }
  }
}

TEST(Attention, BlockTablesBlockSizesAndThreadsChangeNothing) {
  for (const Case& c : all_cases()) {
    Story story(c, 8);
    Machine one(1);
    auto expected = play(story, one, c.block_size, 0);
    for (int threads : {1, 2, 5}) {
      Machine machine(threads);
      for (int32_t block_size : {1, 8, 16, 48}) {
        auto out = play(story, machine, block_size, static_cast<uint32_t>(threads + 1));
        expect_same(*out, *expected, std::string(c.name) + ", blocks of " + std::to_string(block_size));
      }
    }
  }
}

TEST(Attention, ChunkedWholeAloneAndInABatchAreTheSame) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8, DType::kF8E4M3})
    for (int32_t window : {0, 100}) {
      Case c{"chunks", 6, 2, 16, 16, {{0, 700}, {0, 90}, {0, 33}}, dtype, window};
      Story story(c, 9);
      Machine machine(2);
      auto whole = play(story, machine, 16, 1);
      Random random(10);
      for (int round = 0; round < 6; ++round) {
        Cache cache(story, 16, 3);
        std::vector<int32_t> done(3, 0);
        const int32_t offset[] = {0, 700, 790};
        while (done != std::vector<int32_t>{700, 90, 33}) {
          std::vector<Span>
              spans;  // some sequences, in any order, some tokens each; the first rounds one token a step
          for (int32_t seq : {2, 0, 1}) {
            const int32_t at = done[static_cast<std::size_t>(seq)];
            if (at == story.length(seq) || random.below(3) == 0) continue;
            const int32_t most = round == 0 ? 1 : round == 1 ? 64 : 1 + random.below(300);
            spans.push_back({seq, at, std::min(story.length(seq), at + most)});
          }
          if (spans.empty()) continue;
          auto out = step(story, cache, spans, machine);
          int64_t row = 0;
          for (const Span& span : spans) {
            for (int32_t p = span.begin; p < span.end; ++p, ++row)
              ASSERT_TRUE(same_bits(out->row(row), whole->row(offset[span.seq] + p), out->columns()))
                  << "sequence " << span.seq << " position " << p << " in round " << round;
            done[static_cast<std::size_t>(span.seq)] = span.end;
          }
        }
      }
    }
}

TEST(Attention, ALaterTokenOfTheSameStepReachesNoEarlierOne) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8, DType::kF8E4M3})
    for (int32_t poisoned : {70, 71, 95})
      for (int32_t window : {0, 20}) {
        Case c{"causal", 4, 2, 16, 16, {{0, 100}}, dtype, window};
        Story story(c, 11);
        Machine machine(2);
        auto clean = play(story, machine, 16, 1);
        for (int64_t i = 0; i < story.keys[0]->columns(); ++i) {
          story.keys[0]->row(poisoned)[i] = NAN;
          story.values[0]->row(poisoned)[i] = std::numeric_limits<float>::infinity();
        }
        auto out = play(story, machine, 16, 1);
        for (int64_t t = 0; t < 100; ++t) {
          const bool sees = t >= poisoned && (window == 0 || t < poisoned + window);
          if (sees)
            ASSERT_TRUE(std::isnan(out->row(t)[0])) << "the poison did not show: " << t;
          else
            ASSERT_TRUE(same_bits(out->row(t), clean->row(t), out->columns()))
                << dtype_name(dtype) << ' ' << t << " of " << poisoned;
        }
      }
}

TEST(Attention, InfiniteValuesBehindFiniteKeysReachNoOtherToken) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kI8, DType::kF8E4M3}) {
    Case c{"infinite", 2, 1, 16, 16, {{0, 40}}, dtype};
    Story story(c, 15);
    Machine machine(1);
    auto clean = play(story, machine, 16, 1);
    story.values[0]->row(21)[3] = std::numeric_limits<float>::infinity();
    auto out = play(story, machine, 16, 1);
    for (int64_t t = 0; t < 21; ++t) ASSERT_TRUE(same_bits(out->row(t), clean->row(t), out->columns())) << t;
    for (int64_t t = 21; t < 40; ++t) ASSERT_FALSE(std::isfinite(out->row(t)[3])) << t;
  }
}

// The scalar variant against the reference, all others bit for bit against it.
void expect_alike_and_near(Story& story) {
  Machine machine(1);
  std::unique_ptr<Matrix> scalar;
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    auto out = play(story, machine, 16, 1);
    if (scalar)
      expect_same(*out, *scalar, isa_name(isa));
    else
      ASSERT_NO_FATAL_FAILURE(expect_near_reference(story, *out, isa_name(isa)));
    if (!scalar) scalar = std::move(out);
  }
}

TEST(Attention, LargeScoresNeitherOverflowNorVanish) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kI8, DType::kF8E4M3}) {
    Case c{"large", 2, 1, 16, 16, {{0, 300}}, dtype};
    Story story(c, 12);
    for (int32_t p = 0; p < 300; ++p)
      for (int64_t i = 0; i < 16; ++i) story.keys[0]->row(p)[i] *= 200.0f * static_cast<float>(p % 7 + 1);
    ASSERT_NO_FATAL_FAILURE(expect_alike_and_near(story));
  }
}

// The centre of the weights follows the maximum only when that is far above it.
TEST(Attention, ScoresThatRiseOrFallAllAlong) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kI8, DType::kF8E4M3})
    for (float slope :
         {0.002f, 0.02f, 0.1f, -0.02f}) {  // 0.7, 7, 37 and -7 powers of two per tile of 64 keys
      Case c{"slope", 2, 1, 16, 16, {{0, 40}, {700, 1}}, dtype};
      Story story(c, 19);
      for (auto& keys : story.keys)
        for (int64_t p = 0; p < keys->rows(); ++p)
          for (int64_t i = 0; i < 16; ++i) keys->row(p)[i] = slope * static_cast<float>(p + 1);
      for (auto& queries : story.queries)
        for (int64_t p = 0; p < queries->rows(); ++p)
          for (int64_t i = 0; i < queries->columns(); ++i) queries->row(p)[i] = 1;
      ASSERT_NO_FATAL_FAILURE(expect_alike_and_near(story));
    }
}

TEST(Attention, NumbersThatHardwareTakesForZeroAreZeroOnEveryVariant) {
  for (DType dtype : {DType::kBF16, DType::kI8, DType::kF8E4M3}) {
    Case c{"tiny", 4, 2, 32, 16, {{0, 40}, {70, 1}}, dtype};
    Story story(c, 16);
    Random random(17);
    for (auto* parts : {&story.keys, &story.values, &story.queries})
      for (auto& part : *parts)
        for (int64_t p = 0; p < part->rows(); ++p)
          for (int64_t i = 0; i < part->columns(); ++i)
            if (random.below(2) == 0) part->row(p)[i] = std::ldexp(part->row(p)[i], -random.below(150));
    Machine machine(1);
    std::unique_ptr<Matrix> scalar;
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      auto out = play(story, machine, 16, 1);
      if (scalar) expect_same(*out, *scalar, isa_name(isa));
      if (!scalar) scalar = std::move(out);
    }
  }
}

TEST(Attention, EmptyBatchesAndUnusedSlotsAreFine) {
  Case c{"padding", 2, 1, 16, 16, {{0, 20}}};
  Story story(c, 13);
  Machine machine(2);
  Cache cache(story, 16, 1);
  AttnBatch batch;
  Matrix none(0, 32), k(1, 16), v(1, 16);
  const int32_t start = 0;
  batch.query_start_loc = &start;
  paged_attention(none.tensor(), none.tensor(), cache.view, batch, 2, machine.stream);
  const int64_t slot = -1;
  batch.slot_mapping = &slot;
  batch.num_tokens = 1;
  kv_store(cache.view, k.tensor(), v.tensor(), batch, machine.stream);
  const auto bytes = 3 * kv_block_bytes(DType::kF32, 1, 16, 16);
  for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<uint8_t*>(cache.view.data)[i], 0xFF);
}

TEST(Attention, ACopiedBlockServesAsTheOriginal) {
  for (DType dtype : {DType::kBF16, DType::kI8, DType::kF8E4M3}) {
    Case c{"copy", 2, 1, 16, 16, {{0, 10}, {9, 1}}, dtype};
    Story story(c, 14);
    Cache cache(story, 16, 0);  // the sequences lie in blocks 1 and 2 of 0 to 2
    Machine machine(1);
    step(story, cache, {{0, 0, 9}}, machine, false);
    for (auto* parts : {&story.keys, &story.values, &story.queries})
      for (int32_t p = 0; p < 10; ++p)
        std::copy_n((*parts)[0]->row(p), (*parts)[0]->columns(), (*parts)[1]->row(p));
    kv_copy_block(cache.view, 1, 2);
    auto original = step(story, cache, {{0, 9, 10}}, machine),
         copy = step(story, cache, {{1, 9, 10}}, machine);
    EXPECT_TRUE(std::isfinite(copy->row(0)[0]));
    expect_same(*original, *copy, dtype_name(dtype));
  }
}

}  // namespace
}  // namespace pagoda
