#include "ops/moe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;
using ::testing::ElementsAre;

std::vector<float> weights_of(const ExpertRouting& routing, int32_t expert) {
  const auto share = routing.of(expert);
  return {share.weights.data, share.weights.data + share.weights.size};
}
std::vector<int> is_first(const ExpertRouting& routing, int32_t expert) {
  const auto share = routing.of(expert);
  return {share.is_first.data, share.is_first.data + share.is_first.size};
}
std::vector<int32_t> rows_of(const ExpertRouting& routing, int32_t expert) {
  const auto share = routing.of(expert);
  return {share.rows.data, share.rows.data + share.rows.size};
}

TEST(ExpertRouting, TheGreatestOfTheSoftmaxAndOfEqualOnesTheLowest) {
  Machine machine(2);
  const std::vector<std::vector<double>> logits = {{0, 3, 1, 2}, {5, 5, 5, 5}, {-1e30, 1, 0, 1}};
  Matrix rows(3, 4);
  for (bool normalize : {false, true}) {
    for (int64_t t = 0; t < 3; ++t)
      for (int64_t i = 0; i < 4; ++i)
        rows.row(t)[i] = static_cast<float>(logits[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)]);
    ExpertRouting routing(4, 6);
    routing.route(rows.tensor(), 2, normalize, machine.stream);
    EXPECT_THAT(rows_of(routing, 0), ElementsAre(1));
    EXPECT_THAT(rows_of(routing, 1), ElementsAre(0, 1, 2));
    EXPECT_THAT(rows_of(routing, 2), ElementsAre());
    EXPECT_THAT(rows_of(routing, 3), ElementsAre(0, 2));
    const double sum = std::exp(0) + std::exp(3) + std::exp(1) + std::exp(2);
    const double both = normalize ? (std::exp(3) + std::exp(2)) / sum : 1;
    EXPECT_NEAR(weights_of(routing, 1)[0], std::exp(3) / sum / both, 1e-6);
    EXPECT_NEAR(weights_of(routing, 3)[0], std::exp(2) / sum / both, 1e-6);
    EXPECT_NEAR(weights_of(routing, 0)[0], normalize ? 0.5 : 0.25, 1e-6);
    EXPECT_EQ(weights_of(routing, 3)[1], weights_of(routing, 1)[2]);
    EXPECT_THAT(is_first(routing, 1), ElementsAre(1, 0, 1));
    EXPECT_THAT(is_first(routing, 3), ElementsAre(0, 0));
  }
}

// A row's experts and weights are the same alone, in a batch and on any threads; a bad row spoils itself
// only.
TEST(ExpertRouting, DependsOnTheRowAlone) {
  Random random(3);
  Matrix logits(200, 33);
  random.fill(logits, 3);
  logits.row(7)[5] = NAN;
  struct Choice {
    int32_t expert;
    float weight;
    bool operator==(const Choice&) const = default;
  };
  auto choices_of = [](const ExpertRouting& routing, int32_t row) {
    std::vector<Choice> choices;
    for (int32_t expert = 0; expert < 33; ++expert) {
      const auto share = routing.of(expert);
      for (int64_t i = 0; i < share.rows.size; ++i)
        if (share.rows.data[i] == row) choices.push_back({expert, share.weights.data[i]});
    }
    return choices;
  };
  for (int threads : {1, 3}) {
    Machine machine(threads);
    Matrix all(200, 33);
    for (int64_t t = 0; t < 200; ++t) std::copy_n(logits.row(t), 33, all.row(t));
    ExpertRouting batch(33, 200 * 4);
    batch.route(all.tensor(), 4, true, machine.stream);
    for (int32_t t = 0; t < 200; ++t) {
      Matrix one(1, 33);
      std::copy_n(logits.row(t), 33, one.row(0));
      ExpertRouting alone(33, 4);
      alone.route(one.tensor(), 4, true, machine.stream);
      ASSERT_EQ(choices_of(alone, 0).size(), 4u);
      EXPECT_TRUE(t == 7 || choices_of(alone, 0) == choices_of(batch, t)) << t;
    }
    const std::vector<Choice> bad = choices_of(batch, 7);
    ASSERT_EQ(bad.size(), 4u);
    for (const Choice& choice : bad) EXPECT_TRUE(std::isnan(choice.weight));
  }
}

TEST(MoeRows, GoToAnExpertAndComeBack) {
  Machine machine(2);
  Random random(4);
  for (const WeightFormat& format : kFormats) {
    const int64_t k = 37;
    StoredMatrix weight(5, k, stored_dtype(format), random);
    auto packed = weight.pack(format, machine.stream);
    Matrix x(6, k), picked(3, k);
    random.fill(x);
    const int32_t rows[] = {1, 2, 5};
    const float weights[] = {0.5f, -2, 3};
    const uint8_t is_first[] = {1, 0, 1};
    const ExpertShare share{{rows, 3}, {weights, 3}, {is_first, 3}};
    for (int64_t i = 0; i < 3; ++i) std::copy_n(x.row(rows[i]), k, picked.row(i));
    const DeviceBuffer room(cpu_memory(), input_bytes(*packed, 3)),
        same(cpu_memory(), input_bytes(*packed, 3));
    const MatmulInput gathered = make_input(*packed, room.span<std::byte>(), 3);
    const MatmulInput converted = make_input(*packed, same.span<std::byte>(), 3);
    gather_input(gathered, x.tensor(), share, machine.stream);
    convert_input(converted, picked.tensor(), machine.stream);
    Matrix y(3, 5), z(3, 5);
    matmul(y.tensor(), gathered, *packed, {}, Epilogue::kStore, machine.stream);
    matmul(z.tensor(), converted, *packed, {}, Epilogue::kStore, machine.stream);
    expect_same(y, z, format_name(format));

    for (bool stores : {false, true}) {
      Matrix sum(6, 5), before(6, 5);
      random.fill(sum);
      for (int64_t t = 0; t < 6; ++t) std::copy_n(sum.row(t), 5, before.row(t));
      scatter_rows(sum.tensor(), y.tensor(), share, stores, machine.stream);
      for (int64_t j = 0; j < 5; ++j) {
        for (int64_t t : {0, 3, 4}) EXPECT_EQ(sum.row(t)[j], before.row(t)[j]);
        for (int64_t i = 0; i < 3; ++i) {
          const float start = stores && is_first[i] != 0 ? 0 : before.row(rows[i])[j];
          EXPECT_EQ(sum.row(rows[i])[j], std::fma(y.row(i)[j], weights[i], start));
        }
      }
    }
  }
}

}  // namespace
}  // namespace pagoda
