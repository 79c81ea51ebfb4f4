#include "ops/cpu/tuning.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "ops/attention.h"
#include "ops/cpu/calibrate.h"
#include "ops/cpu/tuning_file.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

// All that may be chosen, and what a file may ask for beyond that.
std::vector<CpuTuning> all_tunings() {
  std::vector<CpuTuning> all = calibration_candidates();
  CpuTuning least, most;
  for (const TuningField& field : tuning_fields()) {
    least.*field.value = field.least;
    most.*field.value = field.most;
  }
  all.push_back(least);
  least.stream_threads = 1;
  all.push_back(least);
  all.push_back(most);
  return all;
}

std::string in_words(const CpuTuning& tuning, Isa isa) {
  return tuning_text(tuning) + " on " + isa_name(isa);
}

TEST(Tuning, EveryCandidateDiffersFromTheDefaultsAndIsInRange) {
  const std::vector<CpuTuning> all = calibration_candidates();
  EXPECT_GT(all.size(), 15u);
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_NE(all[i], CpuTuning{}) << i;
    Result<CpuTuning> read = tuning_of_value(tuning_to_value(all[i]));
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(*read, all[i]);
  }
}

class TuningOfProducts : public ::testing::TestWithParam<WeightFormat> {};
INSTANTIATE_TEST_SUITE_P(Formats, TuningOfProducts, ::testing::ValuesIn(kFormats), [](const auto& each) {
  std::string name = format_name(each.param);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

TEST_P(TuningOfProducts, ChangesNoBit) {
  Machine machine(3);
  Random random(1);
  // k is more than two slices of the default, where sums are parked.
  constexpr int64_t kN = 3 * 64 + 5, kRows = 300;
  const int64_t k = GetParam().scheme == WeightScheme::kF32 ? 2100 : 4300;
  StoredMatrix weight(kN, k, stored_dtype(GetParam()), random);
  auto packed = weight.pack(GetParam(), machine.stream);
  Matrix x(kRows, k);
  random.fill(x);
  const Input input(*packed, x, machine.stream);
  Matrix expected(kRows, kN);
  matmul(expected.tensor(), input.loose(), *packed, {}, Epilogue::kStore, machine.stream);
  for (Isa isa : machine_isas())
    for (const CpuTuning& tuning : all_tunings()) {
      WithIsa with(isa);
      machine.stream.set_tuning(tuning);
      for (int64_t rows : isa == best_isa() ? std::vector<int64_t>{1, 2, 3, 4, 6, 7, 30, 300}
                                            : std::vector<int64_t>{1, 6, 13}) {
        MatmulInput some = input.loose();
        some.rows = rows;
        Matrix y(rows, kN);
        matmul(y.tensor(), some, *packed, {}, Epilogue::kStore, machine.stream);
        for (int64_t row = 0; row < rows; ++row)
          ASSERT_TRUE(same_bits(y.row(row), expected.row(row), kN))
              << rows << " rows, " << in_words(tuning, isa);
      }
    }
}

class TuningOfAttention : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Caches, TuningOfAttention,
                         ::testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kI8,
                                           DType::kF8E4M3),
                         [](const auto& each) { return std::string(dtype_name(each.param)); });

// A prompt's end, a few tokens and a decode, behind contexts of more than one partition.
TEST_P(TuningOfAttention, ChangesNoBit) {
  constexpr int32_t kHeads = 8, kKvHeads = 4, kDim = 48, kBlock = 16, kSeqs = 3, kBlocksEach = 45;
  const std::vector<int32_t> starts = {0, 70, 75, 76}, lengths = {700, 130, 577};
  std::vector<int32_t> table(kSeqs * kBlocksEach);
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<int32_t>(i * 7 % table.size());  // 7 shares no factor with 135
  const KvLayout layout{GetParam(), kKvHeads, kDim, kDim, kBlock};
  const std::size_t block = kv_block_bytes(layout, cpu_ops());
  Buffer memory(block * table.size());
  const KvLayerView kv{memory.data(), block, layout};
  Machine machine(3);
  Random random(2);
  AttnBatch batch{.query_start_loc = span_of(starts),
                  .seq_lens = span_of(lengths),
                  .block_table = span_of(table),
                  .num_seqs = kSeqs,
                  .max_blocks = kBlocksEach,
                  .block_size = kBlock,
                  .scale = 0.15f};
  for (int32_t seq = 0; seq < kSeqs; ++seq) {
    const int32_t length = lengths[static_cast<std::size_t>(seq)];
    Matrix k(length, kKvHeads * kDim), v(length, kKvHeads * kDim);
    random.fill(k);
    random.fill(v);
    std::vector<int64_t> slots;
    for (int32_t p = 0; p < length; ++p)
      slots.push_back(int64_t{table[static_cast<std::size_t>(seq * kBlocksEach + p / kBlock)]} * kBlock +
                      p % kBlock);
    AttnBatch all = batch;
    all.num_tokens = length;
    all.slot_mapping = span_of(slots);
    kv_store(kv, k.tensor(), v.tensor(), all, machine.stream);
  }
  batch.num_tokens = starts.back();
  Matrix q(starts.back(), kHeads * kDim), expected(starts.back(), kHeads * kDim);
  random.fill(q, 2);
  paged_attention(expected.tensor(), q.tensor(), kv, batch, kHeads, machine.stream);
  for (Isa isa : machine_isas())
    for (const CpuTuning& tuning : all_tunings()) {
      WithIsa with(isa);
      machine.stream.set_tuning(tuning);
      Matrix out(starts.back(), kHeads * kDim);
      paged_attention(out.tensor(), q.tensor(), kv, batch, kHeads, machine.stream);
      for (int64_t row = 0; row < out.rows(); ++row)
        ASSERT_TRUE(same_bits(out.row(row), expected.row(row), out.columns()))
            << "row " << row << ", " << in_words(tuning, isa);
    }
}

TEST(Calibrate, ChoosesAmongTheCandidatesInItsTimeAndLeavesTheStreamAsItWas) {
  for (const WeightFormat& format : kFormats)
    for (DType kv_dtype : {DType::kBF16, DType::kI8}) {
      Machine machine(2);
      Random random(3);
      const DType dtype = stored_dtype(format);
      StoredMatrix narrow(200, 64, dtype, random), wide(70, 300, dtype, random), gate(90, 64, dtype, random);
      auto a = narrow.pack(format, machine.stream), b = wide.pack(format, machine.stream);
      const Weight parts[] = {gate.tensor(), gate.tensor()};
      auto gated = pack_weight(parts, format, true, machine.stream);
      ASSERT_TRUE(gated.ok());
      CpuTuning before;
      before.pieces = 3;
      machine.stream.set_tuning(before);
      const Calibration found =
          calibrate({{a.get(), b.get(), gated->get()}, kv_dtype, 6, 2, 20, 24}, machine.stream, 0.02);
      EXPECT_EQ(machine.stream.tuning(), before);
      EXPECT_TRUE(tuning_of_value(tuning_to_value(found.tuning)).ok()) << tuning_text(found.tuning);
      EXPECT_GT(found.seconds, 0);
      EXPECT_LT(found.seconds, 5) << "on a busy machine, under a sanitizer";
    }
}

struct BadTuning {
  const char *json, *message;
};
const BadTuning kBad[] = {
    {R"([])", "a tuning is an object, not array"},
    {R"({"nearby": 1})", "'nearby' is not a field of a tuning"},
    {R"({"tile_rows": 0})", "'tile_rows' must be a whole number from 1 to 6"},
    {R"({"tile_rows": 7})", "'tile_rows' must be a whole number from 1 to 6"},
    {R"({"tile_rows": 2.0})", "'tile_rows' must be a whole number from 1 to 6"},
    {R"({"pieces": "8"})", "'pieces' must be a whole number from 1 to 1024"},
    {R"({"near_bytes": -64})", "'near_bytes' must be a whole number from 0 to 65536"},
    {R"({"work_per_thread": 0})", "'work_per_thread' must be a whole number from 1024 to 16777216"},
};
TEST(Tuning, RefusesWhatIsNotOne) {
  for (const BadTuning& bad : kBad) {
    Result<CpuTuning> read = tuning_of_value(parse_json(bad.json).value());
    ASSERT_FALSE(read.ok()) << bad.json;
    EXPECT_EQ(read.status().message(), bad.message);
  }
}

TEST(Tuning, NamesWhatDiffersFromTheDefaults) {
  CpuTuning tuning;
  EXPECT_EQ(tuning_text(tuning), "the defaults");
  tuning.near_bytes = 1024;
  tuning.tile_rows = 5;
  EXPECT_EQ(tuning_text(tuning), "near_bytes 1024, tile_rows 5");
}

class TuningFiles : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string written(const std::string& text) {
    std::ofstream(path("given.json")) << text;
    return path("given.json");
  }
  const std::string folder_ = ::testing::TempDir() + "tuning_files." + std::to_string(::getpid());
};

TEST_F(TuningFiles, AreReadAsTheyWereWritten) {
  TuningFile file{"a CPU, \"quoted\"", {}};
  file.tuning.slice_words = 512;
  ASSERT_TRUE(write_tuning_file(path("new/folder/x.json"), file).ok());
  Result<TuningFile> read = read_tuning_file(path("new/folder/x.json"));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->made_for, file.made_for);
  EXPECT_EQ(read->tuning, file.tuning);
}

TEST_F(TuningFiles, AreJudged) {
  EXPECT_EQ(read_tuning_file(path("none.json")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(read_tuning_file(folder_).status().message(), "'" + folder_ + "' is not a file");
  const std::string given = "'" + path("given.json") + "'";
  for (auto [text, message] :
       {std::pair{R"({"made_for": "x"})", ": there is no object 'tuning'"},
        {R"({"made_for": 1, "tuning": {}})", ": 'made_for' must be a string"},
        {R"({"tuning": {"pieces": 0}})", ": 'pieces' must be a whole number from 1 to"}})
    EXPECT_TRUE(read_tuning_file(written(text)).status().message().starts_with(given + message)) << text;
  EXPECT_FALSE(read_tuning_file(written("{")).ok());
  EXPECT_EQ(read_tuning_file(written(std::string(100'000, ' '))).status().code(), StatusCode::kTooLarge);
  EXPECT_FALSE(write_tuning_file(written("") + "/below", {}).ok());
}

}  // namespace
}  // namespace pagoda
