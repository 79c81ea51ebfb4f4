// How far quantized weights move a model's predictions: KL(float32 || scheme) of the next token, over real
// text, for the model as it is and with planted outliers. Prints docs/measurements/quality.md's table.
#include "tests/assembly/quality.h"

#include <cstdio>
#include <map>

namespace pagoda {
namespace {

using namespace pagoda::testing;

struct Scheme {
  const char* name;
  DecoderOptions options;
};
// As --quantization of these names does: the head has 8 bits unless --lm-head-quantization says otherwise.
const Scheme kSchemes[] = {
    {"bfloat16", {.dtype = DType::kBF16}},
    {"int8", {.layers_format = quantized_format("int8"), .vocabulary_format = quantized_format("int8")}},
    {"int4", {.layers_format = quantized_format("int4"), .vocabulary_format = quantized_format("int8")}},
    {"int4-zp",
     {.layers_format = quantized_format("int4-zp"), .vocabulary_format = quantized_format("int8")}},
    {"int4-g32",
     {.layers_format = quantized_format("int4-g32"), .vocabulary_format = quantized_format("int8")}},
    {"int4-g32-zp",
     {.layers_format = quantized_format("int4-g32-zp"), .vocabulary_format = quantized_format("int8")}},
    {"int4, head int4",
     {.layers_format = quantized_format("int4"), .vocabulary_format = quantized_format("int4")}},
};

// By scheme, then by outliers.
using Table = std::map<std::string, std::vector<Quality>>;
constexpr Outliers kOutliers[] = {Outliers::kNone, Outliers::kNorms, Outliers::kEverywhere};

Table measure(const Subject& subject) {
  Table table;
  std::size_t count = 0;
  for (Outliers outliers : kOutliers) {
    Model model = subject.open();
    model.plant(outliers);
    std::vector<std::vector<double>> exact;
    for (const auto& logits : predictions(*load(&model, {.dtype = DType::kF32}), subject.texts))
      exact.push_back(log_softmax(logits));
    count = exact.size();
    for (const Scheme& scheme : kSchemes)
      table[scheme.name].push_back(compare(exact, predictions(*load(&model, scheme.options), subject.texts)));
  }
  std::printf("\n%s, %zu tokens of %zu texts: mean KL (greedy agreement)\n\n", subject.name.c_str(), count,
              subject.texts.size());
  std::printf(
      "| --quantization | as it is | outliers behind norms | outliers everywhere |\n|---|---|---|---|\n");
  for (const Scheme& scheme : kSchemes) {
    std::printf("| %s |", scheme.name);
    for (const Quality& quality : table[scheme.name])
      std::printf(" %.5f (%.1f %%) |", quality.kl, 100 * quality.agree);
    std::printf("\n");
  }
  return table;
}

void judge(Table table) {
  for (std::size_t i = 0; i < std::size(kOutliers); ++i) {
    SCOPED_TRACE(i);
    EXPECT_LT(table["bfloat16"][i].kl, 1e-3);
    EXPECT_LT(table["int8"][i].kl, 5e-3);
    EXPECT_GT(table["int8"][i].agree, 0.96);
    EXPECT_LT(table["int4-g32"][i].kl, table["int4"][i].kl);
    EXPECT_GT(table["int4"][i].kl, table["int8"][i].kl);
    EXPECT_GT(table["int4, head int4"][i].kl, table["int4"][i].kl);
  }
  // What a checkpoint shares out between norms and weights costs nothing.
  for (const char* scheme : {"int8", "int4"})
    EXPECT_NEAR(table[scheme][1].kl, table[scheme][0].kl, 0.1 * table[scheme][0].kl);
}

TEST(Quality, OfTheDemoModel) {
  judge(measure(demo()));
}

TEST(Quality, OfStories260K) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  judge(measure(stories(folder)));
}

}  // namespace
}  // namespace pagoda
