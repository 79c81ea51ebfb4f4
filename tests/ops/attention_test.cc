#include "ops/attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/attention_story.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

const Case kCases[] = {
    {"one token", 1, 1, 16, 16, {{0, 1}}},
    {"prompts and decodes", 4, 2, 64, 16, {{0, 37}, {5, 1}, {130, 1}, {63, 2}, {60, 9}}},
    {"many queries per KV head", 12, 1, 32, 32, {{0, 70}, {40, 1}}},
    {"no grouping, odd head", 3, 3, 20, 16, {{0, 19}, {66, 3}}},
    {"tiny head", 2, 1, 1, 16, {{0, 33}}},
    {"several partitions", 4, 2, 16, 64, {{1100, 1}, {1000, 40}, {511, 1}, {512, 1}}},
    {"one long sequence", 4, 2, 16, 16, {{2000, 1}}},  // its partitions go to different threads
    {"long with many heads", 8, 8, 64, 16, {{1100, 1}, {1, 1}}},  // so do groups of a partition's heads
    {"very long with three heads", 3, 3, 64, 16, {{2600, 1}}},
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
    {"long with many heads", 16, 8, 64, 16, {{1100, 1}, {1, 1}}},
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
  batch.query_start_loc = span_of(&start, 1);
  paged_attention(none.tensor(), none.tensor(), cache.view, batch, 2, machine.stream);
  const int64_t slot = -1;
  batch.slot_mapping = span_of(&slot, 1);
  batch.num_tokens = 1;
  kv_store(cache.view, k.tensor(), v.tensor(), batch, machine.stream);
  const std::size_t bytes = kv_block_bytes(cache.view.layout, cpu_ops());
  for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<uint8_t*>(cache.view.data)[i], 0xFF);
}

// Where a layer's blocks lie changes no bit: side by side, or in pages with other layers' bytes between.
TEST(Attention, PagesChangeNoBit) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kF8E4M3})
    for (int32_t block_size : {16, 20}) {
      Case c{"pages", 4, 2, 40, block_size, {{100, 1}, {0, 70}, {600, 3}}, dtype, 90};
      Story story(c, 15);
      Machine machine(2);
      auto side_by_side = play(story, machine, block_size, 3, 0);
      for (int64_t gap : {64, 4096}) {
        auto paged = play(story, machine, block_size, 3, gap);
        expect_same(*side_by_side, *paged, dtype_name(dtype));
      }
    }
}

}  // namespace
}  // namespace pagoda
