#include "ops/logits.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Argmax, FindsTheLowestOfTheLargestAndEveryRowThatCannotBeSampled) {
  Random random(1);
  for (int threads : {1, 3})
    for (int64_t vocab : {1, 15, 64, 1003}) {
      Machine machine(threads);
      Matrix logits(40, vocab, 5);
      random.fill(logits);
      for (int64_t row = 0; row < 40; ++row) {
        float* numbers = logits.row(row);
        const int64_t at = row * 7 % vocab;
        if (row % 4 == 1) numbers[at] = NAN;
        if (row % 4 == 2) numbers[at] = kInf;
        if (row % 4 == 3) std::fill_n(numbers, vocab, -kInf);
        if (row % 4 == 0) numbers[at] = numbers[vocab - 1] = 100;
      }
      std::vector<RowMax> found(40);
      argmax(found, logits.tensor(), machine.stream);
      for (int64_t row = 0; row < 40; ++row) {
        const RowMax& max = found[static_cast<std::size_t>(row)];
        EXPECT_EQ(max.is_finite, row % 4 == 0 || row % 4 == 3) << row;
        if (row % 4 == 0) {
          EXPECT_EQ(max.index, row * 7 % vocab);
        }
        if (row % 4 == 3) {
          EXPECT_EQ(max.value, -kInf);
        }
      }
    }
}

TEST(MaskLogits, LeavesWhatIsAllowedOfAnyRow) {
  Random random(2);
  for (int threads : {1, 3})
    for (int64_t vocab : {1, 31, 32, 33, 1003}) {
      Machine machine(threads);
      const int64_t words = (vocab + 31) / 32;
      Matrix logits(5, vocab, 3), out(8, vocab, 2);
      random.fill(logits);
      const std::vector<int32_t> rows = {4, 4, 0, 2, 3, 1, 0, 4};
      std::vector<uint32_t> masks;
      for (int64_t i = 0; i < 8 * words; ++i) masks.push_back(static_cast<uint32_t>(random.below(1 << 30)));
      mask_logits(out.tensor(), logits.tensor(), span_of(rows), span_of(masks), machine.stream);
      for (int64_t i = 0; i < 8; ++i)
        for (int64_t token = 0; token < vocab; ++token) {
          const uint32_t word = masks[static_cast<std::size_t>(i * words + token / 32)];
          const bool allowed = (word >> token % 32 & 1) != 0;
          ASSERT_EQ(out.row(i)[token],
                    allowed ? logits.row(rows[static_cast<std::size_t>(i)])[token] : -kInf);
        }
    }
}

TEST(LogitsDeathTest, OperandsOfAnotherShapeAreABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Machine machine(1);
  Matrix logits(4, 40), out(4, 40), narrow(4, 39);
  std::vector<RowMax> found(3);
  EXPECT_DEATH(argmax(found, logits.tensor(), machine.stream),
               "logits is F32 \\[4, 40\\].* not F32 \\[3, 40\\]");
  const std::vector<int32_t> rows = {0, 1, 2, 3};
  const std::vector<uint32_t> masks(8);
  EXPECT_DEATH(mask_logits(narrow.tensor(), logits.tensor(), span_of(rows), span_of(masks), machine.stream),
               "mask_logits: out");
  EXPECT_DEATH(
      mask_logits(out.tensor(), logits.tensor(), span_of(rows), span_of(masks.data(), 7), machine.stream),
      "mask_logits: masks has 7 elements, not 8");
}

}  // namespace
}  // namespace pagoda
