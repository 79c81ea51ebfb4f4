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
  Case test;
  std::vector<std::unique_ptr<Matrix>> keys, values, queries;
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
    k_ = std::make_unique<Guarded<uint8_t>>(bytes, uint8_t{0xFF});
    v_ = std::make_unique<Guarded<uint8_t>>(bytes, uint8_t{0xFF});
    view = {k_->data(), v_->data(), c.dtype, c.kv_heads, c.head_dim, block_size};
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
  std::unique_ptr<Guarded<uint8_t>> k_, v_;
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
  std::vector<int32_t> starts = {0}, lengths, table;
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
  }
  AttnBatch batch;
  batch.query_start_loc = starts.data();
  batch.seq_lens = lengths.data();
  batch.block_table = table.data();
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
struct Reference {
  std::vector<double> out;
  double largest_score = 0, largest_value = 0;
};
Reference reference(Story& story, int32_t seq, int32_t position, int32_t head) {
  const Case& c = story.test;
  const auto s = static_cast<std::size_t>(seq);
  const int32_t dim = c.head_dim, kv_head = head / (c.heads / c.kv_heads);
  const int32_t first = c.window > 0 ? std::max(0, position - c.window + 1) : 0;
  const float scale = 1 / std::sqrt(static_cast<float>(dim));
  std::vector<double> scores;
  Reference result{std::vector<double>(static_cast<std::size_t>(dim))};
  for (int32_t key = first; key <= position; ++key) {
    double score = 0, size = 0;
    for (int32_t d = 0; d < dim; ++d) {
      const double product = static_cast<double>(story.queries[s]->row(position)[head * dim + d]) *
                             rounded_to(c.dtype, story.keys[s]->row(key)[kv_head * dim + d]);
      score += product;
      size += std::fabs(product);
    }
    score *= scale;
    if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
    scores.push_back(score);
    result.largest_score = std::max(result.largest_score, size * scale);
  }
  const double high = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - high);
  for (int32_t key = first; key <= position; ++key)
    for (int32_t d = 0; d < dim; ++d) {
      const double value = rounded_to(c.dtype, story.values[s]->row(key)[kv_head * dim + d]);
      result.out[static_cast<std::size_t>(d)] += scores[static_cast<std::size_t>(key - first)] / sum * value;
      result.largest_value = std::max(result.largest_value, std::fabs(value));
    }
  return result;
}

void expect_near_reference(Story& story, Matrix& out, const char* isa) {
  const Case& c = story.test;
  int64_t t = 0;
  for (int32_t seq = 0; seq < story.num_seqs(); ++seq)
    for (int32_t p = c.seqs[static_cast<std::size_t>(seq)].first; p < story.length(seq); ++p, ++t)
      for (int32_t head = 0; head < c.heads; ++head) {
        Reference exact = reference(story, seq, p, head);
        // A score's error is absolute in the exponent: head_dim + 4 roundings of its terms (and 1e-7 *
        // softcap); it moves weights by as much, relatively. Then a chain of one rounding per key, few of the
        // size of the sum.
        const double score = (c.head_dim + 4) * 0x1p-24 * exact.largest_score + 2e-7 * c.softcap;
        const double bound = exact.largest_value * (2 * score + (std::sqrt(p + 1.0) * 4 + 32) * 0x1p-24);
        for (int32_t d = 0; d < c.head_dim; ++d)
          ASSERT_NEAR(out.row(t)[head * c.head_dim + d], exact.out[static_cast<std::size_t>(d)], bound)
              << c.name << ' ' << isa << " seq " << seq << " position " << p << " head " << head << " dim "
              << d;
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
    {"bf16 cache", 8, 2, 64, 16, {{0, 80}, {600, 1}}, DType::kBF16},
    {"f16 cache", 8, 4, 48, 16, {{0, 80}, {77, 5}}, DType::kF16},
    {"blocks that are no panels", 4, 2, 24, 5, {{0, 70}, {90, 3}}, DType::kBF16},
    {"blocks of one", 2, 2, 16, 1, {{0, 40}, {33, 1}}},
    {"window", 4, 2, 16, 16, {{0, 150}, {900, 3}}, DType::kF32, 50},
    {"window of one", 2, 1, 16, 16, {{0, 40}}, DType::kF32, 1},
    {"window over partitions", 4, 2, 16, 16, {{1500, 2}}, DType::kBF16, 700},
    {"soft cap", 4, 2, 32, 16, {{0, 90}, {100, 1}}, DType::kF32, 0, 5.0f},
};

TEST(Attention, EveryVariantAgainstDoubleAndBitForBitAgainstTheScalarOne) {
  for (const Case& c : kCases) {
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
  for (const Case& c : kCases) {
    Story story(c, 8);
    Machine one(1);
    auto expected = play(story, one, c.block_size, 0);
    for (int threads : {1, 2, 3, 5}) {
      Machine machine(threads);
      for (int32_t block_size : {1, 7, 16, 48, 128}) {
        auto out = play(story, machine, block_size, static_cast<uint32_t>(threads + 1));
        expect_same(*out, *expected, std::string(c.name) + ", blocks of " + std::to_string(block_size));
      }
    }
  }
}

TEST(Attention, ChunkedWholeAloneAndInABatchAreTheSame) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
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
  Case c{"causal", 4, 2, 16, 16, {{0, 100}}};
  Story story(c, 11);
  Machine machine(2);
  auto clean = play(story, machine, 16, 1);
  for (int64_t i = 0; i < story.keys[0]->columns(); ++i) {
    story.keys[0]->row(70)[i] = NAN;
    story.values[0]->row(70)[i] = std::numeric_limits<float>::infinity();
  }
  auto out = play(story, machine, 16, 1);
  for (int64_t t = 0; t < 70; ++t) ASSERT_TRUE(same_bits(out->row(t), clean->row(t), out->columns())) << t;
  for (int64_t t = 70; t < 100; ++t)
    ASSERT_TRUE(std::isnan(out->row(t)[0])) << "the poison did not show: " << t;
}

TEST(Attention, LargeScoresNeitherOverflowNorVanish) {
  Case c{"large", 2, 1, 16, 16, {{0, 600}}};
  Story story(c, 12);
  for (int32_t p = 0; p < 600; ++p)
    for (int64_t i = 0; i < 16; ++i) story.keys[0]->row(p)[i] *= 200.0f * static_cast<float>(p % 7 + 1);
  Machine machine(1);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    auto out = play(story, machine, 16, 1);
    expect_near_reference(story, *out, isa_name(isa));
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
  for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<uint8_t*>(cache.view.k)[i], 0xFF);
}

TEST(Attention, ACopiedBlockServesAsTheOriginal) {
  Case c{"copy", 2, 1, 16, 16, {{0, 10}}, DType::kBF16};
  Story story(c, 14);
  Cache cache(story, 16, 0);  // the sequence lies in block 1 of 0 and 1
  const std::size_t bytes = kv_block_bytes(DType::kBF16, 1, 16, 16);
  Machine machine(1);
  step(story, cache, {{0, 0, 10}}, machine);
  kv_copy_block(cache.view, 1, 0);
  EXPECT_EQ(std::memcmp(cache.view.k, static_cast<uint8_t*>(cache.view.k) + bytes, bytes), 0);
  EXPECT_EQ(std::memcmp(cache.view.v, static_cast<uint8_t*>(cache.view.v) + bytes, bytes), 0);
  EXPECT_NE(static_cast<uint8_t*>(cache.view.v)[0] & static_cast<uint8_t*>(cache.view.v)[1], 0xFF);
}

}  // namespace
}  // namespace pagoda
