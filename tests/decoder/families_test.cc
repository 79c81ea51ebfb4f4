// Each family against what transformers computes from a tiny random checkpoint of it, in float32
// (tools/make_family_fixtures.py wrote tests/model/families/). Windows are shorter than the longer prompts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/mmap.h"
#include "decoder/decoder.h"
#include "model/registry.h"
#include "tests/decoder/driven_decoder.h"
#include "tests/testing/family_fixtures.h"
#include "tests/testing/guarded_backend.h"

namespace pagoda {
namespace {

using testing::Backend;
using testing::DrivenDecoder;
using testing::FamilyFixture;
using testing::FamilyPrompt;
using testing::Logits;
using testing::Piece;
using testing::read_family_fixture;

struct Fixture {
  std::unique_ptr<Decoder> decoder;
  std::vector<FamilyPrompt> prompts;
  std::vector<Logits> logits;  // of each prompt, after each id
};

Logits rows_of(const Checkpoint& checkpoint, const std::string& name) {
  const StoredTensor* stored = checkpoint.find(name);
  const std::vector<float> numbers = read_floats(checkpoint, stored->name).value();
  Logits rows;
  for (auto row = numbers.begin(); row != numbers.end(); row += stored->shape[1])
    rows.emplace_back(row, row + stored->shape[1]);
  return rows;
}

// quantization: as --quantization names it, with its head of 8 bits; empty: none.
Result<Fixture> load_fixture(const std::string& name, Backend backend = Backend::kCpu,
                             const std::string& quantization = {}) {
  const FamilyFixture files = read_family_fixture(name);
  Fixture fixture{.prompts = files.prompts};
  PAGODA_TRY(auto logits, Checkpoint::open(files.folder + "/expected.safetensors"));
  for (std::size_t i = 0; i < files.prompts.size(); ++i)
    fixture.logits.push_back(rows_of(*logits, "logits." + std::to_string(i)));
  PAGODA_TRY(std::string config, read_file(files.folder + "/config.json"));
  PAGODA_TRY(ModelSpec spec, read_model_spec(config, "config.json"));
  PAGODA_TRY(auto checkpoint, Checkpoint::open(files.folder + "/model.safetensors"));
  const std::unique_ptr<ComputeStream> stream = testing::make_stream(backend, 1);
  DecoderOptions options;
  options.max_positions = files.max_positions;
  options.layers_format = quantized_format(quantization);
  if (options.layers_format) options.vocabulary_format = WeightFormat{WeightScheme::kInt8};
  PAGODA_TRY(fixture.decoder, Decoder::load(spec, *checkpoint, options, *stream));
  return fixture;
}

double distance(const Logits& found, const Logits& expected) {
  double worst = found.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t t = 0; t < std::min(found.size(), expected.size()); ++t)
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      const double difference = std::abs(double{found[t][i]} - double{expected[t][i]});
      worst = difference <= worst ? worst : difference;  // NaN is the worst
    }
  return worst;
}

int32_t greedy_id(const std::vector<float>& logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Generates prompt.greedy.size() ids from the cache, one at a time.
std::vector<int32_t> generate(DrivenDecoder* driven, const FamilyPrompt& prompt) {
  std::vector<int32_t> ids = {greedy_id(driven->run(prompt.ids, prompt.ids.size()).back())};
  while (ids.size() < prompt.greedy.size()) ids.push_back(greedy_id(driven->run({&ids.back(), 1}, 1).back()));
  return ids;
}

class Families : public ::testing::TestWithParam<const char*> {};

TEST_P(Families, GivesTheLogitsOfTransformers) {
  Result<Fixture> fixture = load_fixture(GetParam());
  ASSERT_TRUE(fixture.ok()) << fixture.status().message();
  for (std::size_t i = 0; i < fixture->prompts.size(); ++i) {
    const FamilyPrompt& prompt = fixture->prompts[i];
    SCOPED_TRACE(prompt.ids.size());
    const Logits found = DrivenDecoder(*fixture->decoder, DType::kF32, 1).run(prompt.ids, prompt.ids.size());
    EXPECT_LE(distance(found, fixture->logits[i]), 1e-4);
    DrivenDecoder driven(*fixture->decoder, DType::kF32, 2);
    EXPECT_EQ(generate(&driven, prompt), prompt.greedy);
  }
}

TEST_P(Families, ChunkedAndBatchedNoBitDiffers) {
  for (const char* quantization : {"", "int8", "int4", "int4-g32-zp"}) {
    SCOPED_TRACE(quantization);
    Result<Fixture> fixture = load_fixture(GetParam(), Backend::kCpu, quantization);
    ASSERT_TRUE(fixture.ok()) << fixture.status().message();
    const FamilyPrompt& longest = fixture->prompts.back();
    const Decoder& decoder = *fixture->decoder;
    const Logits alone = DrivenDecoder(decoder, DType::kF32, 1).run(longest.ids, longest.ids.size());
    for (std::size_t chunk : {1, 5, 16, 39})
      EXPECT_TRUE(DrivenDecoder(decoder, DType::kF32, 2).run(longest.ids, chunk) == alone) << chunk;

    DrivenDecoder driven(decoder, DType::kF32, 2, fixture->prompts.size());
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < fixture->prompts.size(); ++i) pieces.push_back({i, fixture->prompts[i].ids});
    const Logits together = driven.step(pieces);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.end() - std::ssize(alone)));
  }
}

// Rounding to steps misses step / sqrt(12) on average. The greatest of so few numbers as a row of these
// models has is about 2.5 times their root mean square, and the codes are spread over that.
double rounding_error(double codes_of_one_sign) {
  constexpr double kGreatest = 2.5;
  return kGreatest / codes_of_one_sign / std::sqrt(12.0);
}

// The root mean square of what each token's logits differ by, relative to that of the expected ones.
std::vector<double> relative_errors(const Logits& found, const Logits& expected) {
  std::vector<double> errors;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    double difference = 0, square = 0;
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      difference += std::pow(double{found[t][i]} - double{expected[t][i]}, 2);
      square += std::pow(double{expected[t][i]}, 2);
    }
    errors.push_back(std::sqrt(difference / square));
  }
  return errors;
}

// A product misses what the rounding of its weights and that of its inputs miss together, and the products of
// a model, four in a layer and the head, as many independent errors. Where two inexact numbers are multiplied
// (gate and up, Q and K, probabilities and V) the next product begins with more: at most twice that in all.
// The middle one of the tokens counts, for a token that a router gives to another expert differs by anything.
TEST_P(Families, QuantizedLogitsAreAsNearAsTheFormat) {
  struct Scheme {
    const char* quantization;
    double codes_of_one_sign;
  };
  constexpr Scheme kSchemes[] = {{"int8", 127}, {"int4", 8}, {"int4-zp", 7.5}, {"int4-g32-zp", 7.5}};
  for (const Scheme& scheme : kSchemes) {
    SCOPED_TRACE(scheme.quantization);
    Result<Fixture> fixture = load_fixture(GetParam(), Backend::kCpu, scheme.quantization);
    ASSERT_TRUE(fixture.ok()) << fixture.status().message();
    std::vector<double> errors;
    for (std::size_t i = 0; i < fixture->prompts.size(); ++i) {
      const std::vector<int32_t>& ids = fixture->prompts[i].ids;
      const Logits found = DrivenDecoder(*fixture->decoder, DType::kF32, 1).run(ids, ids.size());
      for (double error : relative_errors(found, fixture->logits[i])) errors.push_back(error);
    }
    const auto middle = errors.begin() + std::ssize(errors) / 2;
    std::nth_element(errors.begin(), middle, errors.end());
    const double of_product = std::hypot(rounding_error(scheme.codes_of_one_sign), rounding_error(127));
    const auto num_products = static_cast<double>(4 * fixture->decoder->config().layers.size() + 1);
    EXPECT_LT(*middle, 2 * of_product * std::sqrt(num_products));
    EXPECT_GT(*middle, of_product / 3) << "quantized at all";
  }
}

TEST_P(Families, AnotherBackendGivesTheSameBits) {
  Result<Fixture> cpu = load_fixture(GetParam()), guarded = load_fixture(GetParam(), Backend::kGuarded);
  ASSERT_TRUE(cpu.ok() && guarded.ok()) << cpu.status().message() << guarded.status().message();
  for (DType kv_dtype : {DType::kF32, DType::kF8E4M3})
    for (const FamilyPrompt& prompt : cpu->prompts) {
      DrivenDecoder driven(*guarded->decoder, kv_dtype, testing::make_stream(Backend::kGuarded, 2));
      EXPECT_TRUE(driven.run(prompt.ids, 16) ==
                  DrivenDecoder(*cpu->decoder, kv_dtype, 1).run(prompt.ids, 16));
    }
}

// The field names of checkpoints on the hub are older than those that transformers writes today.
TEST_P(Families, BothSpellingsOfItsConfigMeanTheSame) {
  auto spec = [&](const char* file) {
    const std::string folder = read_family_fixture(GetParam()).folder;
    return read_model_spec(read_file(folder + "/" + file).value(), file);
  };
  auto written = spec("config.json"), hub = spec("hub_config.json");
  ASSERT_TRUE(written.ok() && hub.ok()) << written.status().message() << hub.status().message();
  written->config.stored_dtype = hub->config.stored_dtype;
  EXPECT_TRUE(written->config == hub->config);
}

INSTANTIATE_TEST_SUITE_P(Every, Families, ::testing::ValuesIn(testing::kFamilies),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace pagoda
