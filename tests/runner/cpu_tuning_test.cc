#include "runner/cpu_tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "model/registry.h"
#include "ops/cpu/tuning_file.h"
#include "tests/testing/tiny_model.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Random weights: 0.1 MB, or 88 MB, which are enough to be timed.
std::unique_ptr<Decoder> decoder_of(int hidden, CpuStream& stream) {
  const std::string config =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": )" +
      std::to_string(hidden) + R"(, "intermediate_size": )" + std::to_string(4 * hidden) +
      R"(, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
      "vocab_size": 2000, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})";
  const ModelSpec spec = read_model_spec(config, "config.json").value();
  const auto checkpoint = make_dummy_checkpoint(tensor_list(spec), DType::kF32, 1, &stream.pool());
  return Decoder::load(spec, *checkpoint, {DType::kF32, 256}, stream).value();
}

class TuneCpu : public ::testing::Test {
 protected:
  Status tune(const std::string& how, const Decoder& decoder) {
    return tune_cpu({how, dir_.path()}, decoder, DType::kF32, 16, &stream_);
  }
  std::string written(const std::string& text) {
    std::ofstream(dir_.file("tuned.json")) << text;
    return dir_.file("tuned.json");
  }
  std::vector<fs::path> files() const {
    return {fs::directory_iterator(dir_.path()), fs::directory_iterator()};
  }
  testing::TempDir dir_;
  CpuStream stream_{2};
};

TEST_F(TuneCpu, LeavesASmallModelAlone) {
  const auto small = decoder_of(32, stream_);
  for (const char* how : {"auto", "off"}) {
    EXPECT_TRUE(tune(how, *small).ok());
    EXPECT_EQ(stream_.tuning(), CpuTuning{}) << how;
    EXPECT_TRUE(files().empty()) << how;
  }
}

TEST_F(TuneCpu, ReadsTheFileThatItIsGiven) {
  const auto small = decoder_of(32, stream_);
  EXPECT_TRUE(tune(written(R"({"tuning": {"pieces": 5, "spin_us": 31}})"), *small).ok());
  EXPECT_EQ(stream_.tuning().pieces, 5);
  EXPECT_EQ(stream_.pool().spin_us(), 31);
  for (const char* bad : {"", "{}", R"({"tuning": {"pieces": 0}})", R"({"tuning": {"prices": 1}})"}) {
    const Status status = tune(written(bad), *small);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(status.message(), HasSubstr("--cpu-tune: '" + dir_.file("tuned.json") + "'")) << bad;
  }
  EXPECT_EQ(tune(dir_.path(), *small).code(), StatusCode::kInvalidArgument);
}

TEST_F(TuneCpu, MeasuresOnceAndReadsWhatItFoundUntilTheMachineIsAnother) {
  const auto large = decoder_of(1024, stream_);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (files().empty() &&
         std::chrono::steady_clock::now() < deadline) {  // it is not kept on a busy machine
    ASSERT_TRUE(tune("auto", *large).ok());
  }
  if (files().empty()) GTEST_SKIP() << "others used the CPUs all the time";
  ASSERT_EQ(files().size(), 1u);
  const std::string path = files()[0].string();
  TuningFile file = read_tuning_file(path).value();
  EXPECT_THAT(file.made_for, HasSubstr("2 threads"));
  EXPECT_EQ(file.tuning, stream_.tuning());

  file.tuning.pieces = 77;  // no measurement gives that
  ASSERT_TRUE(write_tuning_file(path, file).ok());
  EXPECT_TRUE(tune("auto", *large).ok());
  EXPECT_EQ(stream_.tuning().pieces, 77);

  file.made_for += ", another program";
  ASSERT_TRUE(write_tuning_file(path, file).ok());
  EXPECT_TRUE(tune("auto", *large).ok());
  EXPECT_NE(stream_.tuning().pieces, 77);

  std::ofstream(path) << "torn";
  EXPECT_TRUE(tune("auto", *large).ok()) << "a cache is no input to fail for";
}

}  // namespace
}  // namespace pagoda
