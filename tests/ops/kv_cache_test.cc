// The bytes of the KV cache: how many, where, and which numbers survive them.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/attention.h"
#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

// Sequences of one token each step, one head, blocks of 16: sequence i lies in block i.
class OneHead {
 public:
  OneHead(DType dtype, int32_t head_dim, int32_t num_seqs)
      : num_seqs_(num_seqs),
        layout_{dtype, 1, head_dim, head_dim, 16},
        bytes_(static_cast<int64_t>(kv_block_bytes(layout_, cpu_ops())) * num_seqs, 0xFF),
        view_{bytes_.data(), kv_block_bytes(layout_, cpu_ops()), layout_} {
    for (int32_t i = 0; i < num_seqs; ++i) {
      table_.push_back(i);
      starts_.push_back(i + 1);
    }
  }
  // Token number `position` of every sequence.
  void store(Matrix& k, Matrix& v, int32_t position) {
    std::vector<int64_t> slots;
    for (int32_t i = 0; i < num_seqs_; ++i) slots.push_back(i * 16 + position);
    AttnBatch batch = batch_of(position);
    batch.slot_mapping = span_of(slots);
    kv_store(view_, k.tensor(), v.tensor(), batch, machine_.stream);
  }
  // What queries at `position` see.
  std::unique_ptr<Matrix> attend(Matrix& q, int32_t position) {
    auto out = std::make_unique<Matrix>(num_seqs_, view_.layout.k_dim);
    const AttnBatch batch = batch_of(position);
    paged_attention(out->tensor(), q.tensor(), view_, batch, 1, machine_.stream);
    return out;
  }
  uint8_t* bytes() { return bytes_.data(); }

 private:
  AttnBatch batch_of(int32_t position) {
    lengths_.assign(static_cast<std::size_t>(num_seqs_), position + 1);
    AttnBatch batch;
    batch.query_start_loc = span_of(starts_);
    batch.seq_lens = span_of(lengths_);
    batch.block_table = span_of(table_);
    batch.num_seqs = batch.num_tokens = num_seqs_;
    batch.max_blocks = 1;
    return batch;
  }

  int32_t num_seqs_;
  KvLayout layout_;
  Guarded<uint8_t> bytes_;
  KvLayerView view_;
  Machine machine_{1};
  std::vector<int32_t> table_, starts_ = {0}, lengths_;
};

TEST(KvCache, ABlocksBytesAreThoseOfItsNumbersAndScales) {
  struct {
    DType dtype;
    int32_t heads, dim, block_size;
    std::size_t bytes;
  } const kBlocks[] = {
      {DType::kF32, 8, 64, 16, 2 * 8 * 64 * 16 * 4},    {DType::kBF16, 8, 64, 16, 2 * 8 * 64 * 16 * 2},
      {DType::kF16, 8, 64, 32, 2 * 8 * 64 * 32 * 2},    {DType::kI8, 8, 64, 16, 2 * 8 * (64 + 4) * 16},
      {DType::kI8, 2, 128, 20, 2 * 2 * (128 + 4) * 32}, {DType::kF8E4M3, 8, 64, 16, 2 * 8 * (64 + 4) * 16}};
  for (const auto& block : kBlocks)
    EXPECT_EQ(kv_block_bytes({block.dtype, block.heads, block.dim, block.dim, block.block_size}, cpu_ops()),
              block.bytes);
}

// All finite codes of both signs: head_dim 256 with two to spare.
std::vector<float> all_e4m3() {
  std::vector<float> all;
  for (int code = 0; code < 256; ++code)
    if (!std::isnan(e4m3_to_float(static_cast<uint8_t>(code))))
      all.push_back(e4m3_to_float(static_cast<uint8_t>(code)));
  return all;
}

TEST(KvCache, EveryNumberOfE4M3ComesBackFromEveryPlaceOfACell) {
  const std::vector<float> all = all_e4m3();
  ASSERT_EQ(all.size(), 254u);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    for (float unit : {0x1p-60f, 1.0f, 0x1p100f}) {
      OneHead head(DType::kF8E4M3, 256, 1);
      Matrix k(1, 256), v(1, 256), q(1, 256);
      for (int32_t position = 0; position < 16; ++position) {
        // Of the tokens so far only this one scores: K points away from the queries of the others.
        k.row(0)[position] = 448;
        for (std::size_t d = 0; d < 254; ++d)
          v.row(0)[d] = all[(d + static_cast<std::size_t>(position)) % 254] * unit;
        head.store(k, v, position);
        q.row(0)[position] = 1;
        auto out = head.attend(q, position);
        for (int64_t d = 0; d < 256; ++d)
          ASSERT_EQ(out->row(0)[d], v.row(0)[d])
              << isa_name(isa) << ' ' << unit << ' ' << position << ' ' << d;
        k.row(0)[position] = q.row(0)[position] = 0;
      }
    }
  }
}

TEST(KvCache, E4M3CodesAndScalesLieWhereTheyShould) {
  constexpr int64_t kDim = 40, kPadded = 48, kPlace[] = {0, 2, 1, 3};
  constexpr int64_t kValues = kDim * 16, kScales = kValues + kPadded * 16;
  Random random(3);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    OneHead head(DType::kF8E4M3, kDim, 1);
    for (int32_t t = 0; t < 16; ++t) {
      Matrix k(1, kDim), v(1, kDim);
      for (int64_t d = 0; d < kDim; ++d) {
        k.row(0)[d] = std::ldexp(random.normal(), -random.below(20));  // subnormals among them
        v.row(0)[d] = static_cast<float>(d * 16 + t) * 0x1p-10f;       // ties among them: the scale is 1
      }
      v.row(0)[7] = -448;
      head.store(k, v, t);
      float peak = 0;
      for (int64_t d = 0; d < kDim; ++d) peak = std::max(peak, std::fabs(k.row(0)[d]));
      const float scale = peak / 448;
      float scales[2];
      std::memcpy(&scales[0], head.bytes() + kScales + t * 4, 4);
      std::memcpy(&scales[1], head.bytes() + kScales + 64 + t * 4, 4);
      EXPECT_EQ(scales[0], scale);
      EXPECT_EQ(scales[1], 1.0f);
      for (int64_t d = 0; d < kDim; ++d) {
        ASSERT_EQ(head.bytes()[(d / 4 * 16 + t) * 4 + kPlace[d % 4]],
                  float_to_e4m3(k.row(0)[d] * (1 / scale)))
            << isa_name(isa) << " key " << t << ' ' << d;
        ASSERT_EQ(head.bytes()[kValues + (t / 4 * kPadded + d) * 4 + kPlace[t % 4]],
                  float_to_e4m3(v.row(0)[d]))
            << isa_name(isa) << " value " << t << ' ' << d;
      }
    }
  }
}

TEST(KvCache, BytesHoldNothingTheSmallAndTheHuge) {
  for (DType dtype : {DType::kI8, DType::kF8E4M3})
    for (float size : {0.0f, 1e-40f, 1e-30f, 1e-10f, 1e30f, 1e38f})
      for (Isa isa : machine_isas()) {
        WithIsa with(isa);
        OneHead head(dtype, 16, 1);
        Matrix k(1, 16), v(1, 16), q(1, 16);
        for (int64_t d = 0; d < 16; ++d) {
          k.row(0)[d] = d % 2 == 0 ? size : -size;  // its product with q is 0
          v.row(0)[d] = d % 3 == 0 ? -size : size;
          q.row(0)[d] = 1;
        }
        for (int32_t position = 0; position < 3; ++position) head.store(k, v, position);
        auto out = head.attend(q, 2);
        for (int64_t d = 0; d < 16; ++d)
          ASSERT_NEAR(out->row(0)[d], size < 1e-30f ? 0 : v.row(0)[d], size * 1e-3f)
              << dtype_name(dtype) << ' ' << size << ' ' << isa_name(isa);
      }
}

TEST(KvCache, ATokenThatIsNotFiniteSpoilsItsOwnSequenceAlone) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kF8E4M3})
    for (float bad : {NAN, INFINITY, -INFINITY}) {
      Random random(5);
      OneHead clean(dtype, 16, 3), spoiled(dtype, 16, 3);
      for (int32_t position = 0; position < 6; ++position) {
        Matrix k(3, 16), v(3, 16), q(3, 16);
        for (Matrix* matrix : {&k, &v, &q}) random.fill(*matrix);
        clean.store(k, v, position);
        auto expected = clean.attend(q, position);
        if (position == 3) k.row(1)[5] = v.row(1)[6] = bad;
        spoiled.store(k, v, position);
        auto out = spoiled.attend(q, position);
        for (int64_t seq : {0, 1, 2}) {
          if (seq == 1 && position >= 3) continue;
          ASSERT_TRUE(same_bits(out->row(seq), expected->row(seq), 16))
              << dtype_name(dtype) << ' ' << bad << ' ' << seq << ' ' << position;
        }
        if (position >= 3) {
          ASSERT_FALSE(std::isfinite(out->row(1)[6])) << dtype_name(dtype) << ' ' << bad;
        }
      }
    }
}

}  // namespace
}  // namespace pagoda
