// How far the format of the KV cache moves a model's predictions: KL(float32 cache || format) of the next
// token with float32 weights, for the model as it is and with planted outliers. Prints
// docs/measurements/quality.md's table.
#include <cstdio>
#include <map>

#include "tests/assembly/quality.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

struct Format {
  const char* name;
  DType dtype;
};
constexpr Format kFormats[] = {
    {"float16", DType::kF16}, {"bfloat16", DType::kBF16}, {"fp8", DType::kF8E4M3}, {"int8", DType::kI8}};
constexpr Outliers kOutliers[] = {Outliers::kNone, Outliers::kKeys, Outliers::kKeysAndValues};

// By format, then by outliers.
using Table = std::map<std::string, std::vector<Quality>>;

Table measure(const Subject& subject) {
  Table table;
  std::size_t count = 0;
  for (Outliers outliers : kOutliers) {
    Model model = subject.open();
    model.plant(outliers);
    auto decoder = load(&model, {.dtype = DType::kF32});
    std::vector<std::vector<double>> exact;
    for (const auto& logits : predictions(*decoder, subject.texts)) exact.push_back(log_softmax(logits));
    count = exact.size();
    for (const Format& format : kFormats)
      table[format.name].push_back(compare(exact, predictions(*decoder, subject.texts, format.dtype)));
  }
  std::printf("\n%s, %zu tokens of %zu texts: mean KL (greedy agreement)\n\n", subject.name.c_str(), count,
              subject.texts.size());
  std::printf("| --kv-cache-dtype | as it is | outliers in K | outliers in K and V |\n|---|---|---|---|\n");
  for (const Format& format : kFormats) {
    std::printf("| %s |", format.name);
    for (const Quality& quality : table[format.name])
      std::printf(" %.6f (%.1f %%) |", quality.kl, 100 * quality.agree);
    std::printf("\n");
  }
  return table;
}

// About twice what was seen of a model.
struct Bounds {
  double bfloat16, fp8, int8;  // of KL; int8: without outliers
  double agree;                // of fp8
};
void judge(Table table, const Bounds& bounds) {
  for (std::size_t i = 0; i < std::size(kOutliers); ++i) {
    SCOPED_TRACE(i);
    EXPECT_LT(table["float16"][i].kl, 1e-5);
    EXPECT_LT(table["bfloat16"][i].kl, bounds.bfloat16);
    EXPECT_LT(table["fp8"][i].kl, bounds.fp8);
    EXPECT_GT(table["fp8"][i].agree, bounds.agree);
    // Each number has its own exponent: large ones beside it cost nothing.
    EXPECT_LT(table["fp8"][i].kl, 2 * table["fp8"][0].kl);
    if (i > 0) {
      EXPECT_GT(table["int8"][i].kl, 2 * table["fp8"][i].kl);
    }
  }
  EXPECT_LT(table["int8"][0].kl, bounds.int8);
  EXPECT_LT(table["int8"][0].kl, table["fp8"][0].kl);
}

TEST(KvQuality, OfTheDemoModel) {
  judge(measure(demo()), {.bfloat16 = 1e-5, .fp8 = 1.5e-3, .int8 = 6e-5, .agree = 0.97});
}

TEST(KvQuality, OfStories260K) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  judge(measure(stories(folder)), {.bfloat16 = 1.2e-4, .fp8 = 0.022, .int8 = 3e-3, .agree = 0.92});
}

}  // namespace
}  // namespace pagoda
