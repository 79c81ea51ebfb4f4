// Sequences whose attention is known: in double, and by the variants of every instruction set over any cache.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "ops/attention.h"
#include "tests/ops/guarded.h"

namespace pagoda::testing {

struct Case {
  const char* name;
  int32_t heads, kv_heads, head_dim, block_size;
  std::vector<std::pair<int32_t, int32_t>> seqs;  // tokens in the cache before the step, tokens of the step
  DType dtype = DType::kF32;
  int32_t window = 0;
  float softcap = 0;
};

// Whether queries and weights are rounded to bfloat16 before they are multiplied.
inline bool is_bf16_product(DType dtype) {
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

// The cache of one layer, all NaN before use, as are the `gap` bytes before each block, which belong to other
// layers: whatever reads beyond what was stored shows. Blocks are handed out in a shuffled order; block 0 has
// no owner.
class Cache {
 public:
  Cache(const Story& story, int32_t block_size, uint32_t seed, int64_t gap = 192)
      : block_size_(block_size), gap_(gap) {
    const Case& c = story.test;
    for (int32_t seq = 0; seq < story.num_seqs(); ++seq)
      max_blocks_ = std::max(max_blocks_, (story.length(seq) + block_size - 1) / block_size);
    const int32_t num_blocks = story.num_seqs() * max_blocks_ + 1;
    std::vector<int32_t> ids(static_cast<std::size_t>(num_blocks - 1));
    std::iota(ids.begin(), ids.end(), 1);
    if (seed != 0) Random(seed).shuffle(ids);
    table_ = std::make_unique<Guarded<int32_t>>(story.num_seqs() * max_blocks_);
    for (int64_t i = 0; i < table_->size(); ++i) (*table_)[i] = ids[static_cast<std::size_t>(i)];
    const KvLayout layout{c.dtype, c.kv_heads, c.head_dim, c.head_dim, block_size};
    stride_ = static_cast<int64_t>(kv_block_bytes(layout, cpu_ops())) + gap;
    bytes_ = std::make_unique<Guarded<uint8_t>>(stride_ * num_blocks, uint8_t{0xFF});
    view = {bytes_->data() + gap, static_cast<std::size_t>(stride_), layout};
  }
  // Nothing is written that belongs to other layers.
  bool gaps_are_untouched() const {
    for (int64_t block = 0; block < bytes_->size(); block += stride_)
      for (int64_t i = 0; i < gap_; ++i)
        if (bytes_->data()[block + i] != 0xFF) return false;
    return true;
  }
  DeviceSpan<const int32_t> table() const { return {table_->data(), table_->size()}; }
  const int32_t* row(int32_t seq) const { return table_->data() + seq * max_blocks_; }
  int64_t slot(int32_t seq, int32_t position) const {
    return int64_t{row(seq)[position / block_size_]} * block_size_ + position % block_size_;
  }
  int32_t max_blocks() const { return max_blocks_; }
  KvLayerView view;

 private:
  int32_t block_size_, max_blocks_ = 0;
  int64_t gap_, stride_ = 0;
  std::unique_ptr<Guarded<int32_t>> table_;
  std::unique_ptr<Guarded<uint8_t>> bytes_;
};

struct Span {
  int32_t seq, begin, end;  // positions of this step
};

// Stores one step of `spans` and, if asked to, attends; the rows of out follow the spans.
inline std::unique_ptr<Matrix> step(Story& story, Cache& cache, const std::vector<Span>& spans,
                                    Machine& machine, bool attend = true) {
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
  batch.query_start_loc = span_of(starts);
  batch.seq_lens = span_of(lengths);
  batch.block_table = through_rows ? cache.table() : span_of(table);
  if (through_rows) batch.table_rows = span_of(rows);
  batch.slot_mapping = span_of(slots);
  batch.num_seqs = static_cast<int32_t>(spans.size());
  batch.num_tokens = total;
  batch.max_blocks = cache.max_blocks();
  batch.block_size = cache.view.layout.block_size;
  batch.window = c.window;
  batch.softcap = c.softcap;
  batch.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  kv_store(cache.view, k.tensor(), v.tensor(), batch, machine.stream);
  auto out = std::make_unique<Matrix>(total, c.heads * c.head_dim, 4);
  if (attend) paged_attention(out->tensor(), q.tensor(), cache.view, batch, c.heads, machine.stream);
  EXPECT_TRUE(cache.gaps_are_untouched());
  return out;
}

// The tokens before the step go in first, then all sequences' steps as one batch.
inline std::unique_ptr<Matrix> play(Story& story, Machine& machine, int32_t block_size, uint32_t shuffle,
                                    int64_t gap = 192) {
  Cache cache(story, block_size, shuffle, gap);
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
inline double bound_of(const Reference& exact, const Case& c, int32_t position) {
  const bool int8 = c.dtype == DType::kI8;
  const double score = (c.head_dim + 4) * 0x1p-24 * exact.largest_score +
                       2e-7 * static_cast<double>(c.softcap) + (int8 ? exact.largest_step : 0);
  const double weights = is_bf16_product(c.dtype) ? 2.02 * 0x1p-9 : int8 ? 32.0 / 16383 : 0;
  return exact.largest_value * (2 * score + weights + (std::sqrt(position + 1.0) * 4 + 32) * 0x1p-24);
}

inline void expect_near_reference(Story& story, Matrix& out, const char* isa) {
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

}  // namespace pagoda::testing
