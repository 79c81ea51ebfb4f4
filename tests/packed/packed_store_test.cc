#include "packed/packed_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "ops/cpu/cpu_stream.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int64_t kRows = 100, kColumns = 70;
const WeightFormat kFormats[] = {
    {WeightScheme::kBF16}, {WeightScheme::kInt8}, {WeightScheme::kInt4, 32, true}};

bool same_payload(const PackedWeight& a, const PackedWeight& b) {
  return std::ranges::equal(std::span(a.payload().data, a.bytes()), std::span(b.payload().data, b.bytes()));
}

class PackedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kOff);
    folder_ = fs::temp_directory_path() / ("pagoda_packed_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    SplitMix64 random(3);
    for (float& number : numbers_) number = static_cast<float>(random.uniform() - 0.5);
  }
  void TearDown() override {
    std::error_code error;
    fs::permissions(folder_, fs::perms::owner_all, error);
    fs::remove_all(folder_);
    set_log_level(LogLevel::kInfo);
  }

  std::unique_ptr<PackedWeight> pack(const WeightFormat& format, ComputeStream& stream) const {
    const Weight part = plain_weight("w", DType::kF32, kRows, kColumns, std::as_bytes(std::span(numbers_)));
    return *pack_weight({&part, 1}, format, false, stream);
  }
  std::unique_ptr<PackedWeight> pack(const WeightFormat& format) { return pack(format, stream_); }
  static PackedWeight::Header header(const WeightFormat& format) { return {kRows, kColumns, format, false}; }
  static std::string name(std::size_t i) { return "layer." + std::to_string(i); }

  PackedStore open(const Hash128& key) { return {folder_.string(), key, false, stream_}; }
  // As a load does: what is not there is added. How many were there.
  int load(const Hash128& key, bool copy = false) { return load(key, copy, stream_); }
  int load(const Hash128& key, bool copy, ComputeStream& stream) const {
    PackedStore store(folder_.string(), key, copy, stream);
    int found = 0;
    for (std::size_t i = 0; i < std::size(kFormats); ++i) {
      std::unique_ptr<PackedWeight> fresh = pack(kFormats[i], stream);
      std::unique_ptr<PackedWeight> kept = store.find(name(i), header(kFormats[i]));
      if (kept) {
        ++found;
        EXPECT_EQ(kept->header(), fresh->header());
        EXPECT_TRUE(same_payload(*kept, *fresh));
      } else {
        store.add(name(i), *fresh);
      }
    }
    store.finish();
    return found;
  }
  fs::path file() const { return folder_ / (kKey.hex() + ".packed"); }
  std::string bytes() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const { std::ofstream(file(), std::ios::binary) << text; }
  std::string refusal(const Hash128& key) {
    auto opened = PackedFile::open(file().string(), key, stream_);
    return opened.ok() ? "" : opened.status().message();
  }
  std::size_t num_files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  static constexpr Hash128 kKey{1, 2}, kOther{1, 3};
  fs::path folder_;
  std::vector<float> numbers_ = std::vector<float>(kRows * kColumns);
  ComputePool pool_{2};
  CpuStream stream_{&pool_};
};

TEST_F(PackedStoreTest, TheSecondStartFindsWhatTheFirstKept) {
  EXPECT_EQ(load(kKey), 0);
  EXPECT_EQ(num_files(), 1u);
  EXPECT_EQ(load(kKey), 3);
  EXPECT_EQ(load(kKey, true), 3);
  EXPECT_EQ(load(kOther), 0) << "another model or other options";
  EXPECT_EQ(num_files(), 2u);
  EXPECT_EQ(load(kOther), 3);
}

TEST_F(PackedStoreTest, AWeightOfAnotherShapeIsNotFound) {
  load(kKey);
  PackedStore store = open(kKey);
  EXPECT_EQ(store.find("layer.7", header(kFormats[0])), nullptr);
  EXPECT_EQ(store.find(name(0), header(kFormats[1])), nullptr);
  EXPECT_EQ(store.find(name(0), {kRows + 1, kColumns, kFormats[0], false}), nullptr);
  EXPECT_NE(store.find(name(0), header(kFormats[0])), nullptr);
}

TEST_F(PackedStoreTest, AWeightOutlivesTheStoreAndTheFile) {
  load(kKey);
  std::unique_ptr<PackedWeight> kept = open(kKey).find(name(1), header(kFormats[1]));
  fs::remove(file());
  EXPECT_TRUE(same_payload(*kept, *pack(kFormats[1])));
}

TEST_F(PackedStoreTest, WhatIsCutOffIsMadeAnew) {
  load(kKey);
  const std::string whole = bytes();
  const std::size_t payload = 2 << 20;
  std::vector<std::size_t> lengths = {0, 1, 7, 95, 96, 97, 4096, payload - 1, payload, payload + 1};
  for (std::size_t i = 1; i <= 40; ++i) lengths.push_back(payload + (whole.size() - payload) * i / 41);
  for (std::size_t i = 1; i <= 220; i += 3) lengths.push_back(whole.size() - i);  // through the table
  for (std::size_t length : lengths) {
    write(whole.substr(0, length));
    ASSERT_NE(refusal(kKey), "") << length;
  }
  write(whole + "x");
  EXPECT_THAT(refusal(kKey), HasSubstr("cut off, or has grown"));
  write(whole.substr(0, whole.size() / 2));
  EXPECT_EQ(load(kKey), 0);
  EXPECT_EQ(load(kKey), 3);
  EXPECT_EQ(bytes(), whole);
}

TEST_F(PackedStoreTest, AFlippedBitIsFound) {
  load(kKey);
  std::string text = bytes();
  const std::size_t payload = 2 << 20, table = text.size() - 3 * (64 + name(0).size());
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < 96; ++i) places.push_back(i);
  for (std::size_t i = table; i < text.size(); ++i) places.push_back(i);
  std::size_t offset = payload;
  for (const WeightFormat& format : kFormats) {
    const std::size_t length = packed_bytes(header(format), stream_.ops());
    for (std::size_t i = 0; i < 25; ++i) places.push_back(offset + length * i / 25);
    places.push_back(offset + length - 1);
    offset = (offset + length + 4095) / 4096 * 4096;
  }
  for (std::size_t place : places) {
    text[place] ^= 0x10;
    write(text);
    ASSERT_NE(refusal(kKey), "") << place;
    text[place] ^= 0x10;
  }
  text[payload + 5] ^= 1;
  write(text);
  EXPECT_EQ(refusal(kKey), "it has damaged numbers in 'layer.0'");
  EXPECT_EQ(load(kKey), 0);
  EXPECT_EQ(load(kKey), 3);
}

// Hashes are no defence against who can compute them: the sizes are checked all the same.
TEST_F(PackedStoreTest, ATableThatLiesIsRefusedThoughItsHashesAreRight) {
  load(kKey);
  const std::string whole = bytes();
  const std::size_t table = whole.size() - 3 * (64 + name(0).size());
  auto forged = [&](std::size_t at, auto value) {  // a field of the first weight
    std::string text = whole;
    std::memcpy(text.data() + table + at, &value, sizeof value);
    const Hash128 table_hash = hash128(std::string_view(text).substr(table));
    std::memcpy(text.data() + 64, &table_hash, sizeof table_hash);
    const Hash128 header_hash = hash128(std::string_view(text).substr(0, 80));
    std::memcpy(text.data() + 80, &header_hash, sizeof header_hash);
    write(text);
    return refusal(kKey);
  };
  EXPECT_EQ(forged(0, kRows), "");
  struct Case {
    std::size_t at;
    int64_t value;
  };
  const Case cases[] = {{0, kRows + 64}, {0, -1},    {0, INT64_MAX}, {8, 0},          {8, INT64_MAX / 2},
                        {16, 0},         {16, 4096}, {16, -4096},    {16, INT64_MAX}, {16, (2 << 20) + 1},
                        {16, 1ll << 40}, {24, 0},    {24, -1},       {24, INT64_MAX}, {24, 64}};
  for (const Case& c : cases)
    EXPECT_EQ(forged(c.at, c.value), "it has a weight that cannot be") << c.at << " " << c.value;
  EXPECT_EQ(forged(48, int32_t{2}), "it has a weight that cannot be") << "rows of a group";
  EXPECT_EQ(forged(52, int32_t{32}), "it has a weight that cannot be") << "a group size for bf16";
  EXPECT_EQ(forged(60, uint8_t{200}), "it has a weight that cannot be") << "no such scheme";
  for (std::size_t flag : {61, 62, 63})
    EXPECT_EQ(forged(flag, uint8_t{2}), "it has a weight that cannot be") << "neither yes nor no: " << flag;
  EXPECT_EQ(forged(56, uint32_t{0xFFFFFFFF}), "it has a name that is cut off");
  EXPECT_NE(forged(56, uint32_t{6}), "") << "names out of step";
  EXPECT_EQ(forged(64 + name(0).size() - 1, '1'), "it has a weight that cannot be") << "the same name twice";
}

TEST_F(PackedStoreTest, AFileOfAnotherVersionIsMadeAnew) {
  load(kKey);
  const std::string whole = bytes();
  std::string older = whole;
  older[8] = 1;
  const Hash128 header_hash = hash128(std::string_view(older).substr(0, 80));
  std::memcpy(older.data() + 80, &header_hash, sizeof header_hash);
  write(older);
  EXPECT_EQ(refusal(kKey), "it is of another version or kind of machine");
  EXPECT_EQ(load(kKey), 0);
  EXPECT_EQ(bytes(), whole);
}

TEST_F(PackedStoreTest, OtherFilesAreNotWeights) {
  load(kKey);
  fs::copy_file(file(), folder_ / (kOther.hex() + ".packed"));
  EXPECT_EQ(load(kOther), 0) << "a file under a name that is not its own";
  write("{}");
  EXPECT_EQ(refusal(kKey), "it is cut off");
  write(std::string(1 << 22, '\0'));
  EXPECT_EQ(refusal(kKey), "it holds no packed weights");
  fs::remove(file());
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  EXPECT_THAT(refusal(kKey), HasSubstr("is not a regular file"));
  fs::remove(file());
  fs::create_directory(file());
  EXPECT_EQ(load(kKey), 0) << "cannot be replaced; goes on without";
  EXPECT_EQ(num_files(), 2u) << "and leaves nothing behind";
}

TEST_F(PackedStoreTest, AFolderThatTakesNothingIsNoHindrance) {
  PackedStore store("/proc/self/no/folder", kKey, false, stream_);
  EXPECT_EQ(store.find(name(0), header(kFormats[0])), nullptr);
  store.add(name(0), *pack(kFormats[0]));
  store.finish();
  load(kKey);
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(load(kKey), 3) << "read-only, and filled by another process";
}

TEST_F(PackedStoreTest, AFullDiskLeavesNothingBehind) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit little{(2 << 20) + 8192, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  EXPECT_EQ(load(kKey), 0);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(PackedStoreTest, WritersAtOnceDoNotDisturbOneAnother) {
  auto start = [&] {
    ComputePool pool(1);
    CpuStream stream(&pool);
    for (int round = 0; round < 6; ++round) {
      load(kKey, false, stream);
      std::error_code error;
      if (round % 2 == 1) fs::remove(file(), error);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(start);
  for (std::thread& thread : threads) thread.join();
  load(kKey);
  EXPECT_EQ(load(kKey), 3);
  EXPECT_EQ(num_files(), 1u);
}

TEST_F(PackedStoreTest, WhatAKilledWriterLeftIsRemovedWhenItIsOld) {
  fs::create_directories(folder_);
  const fs::path old = file().string() + ".tmp.1.0", young = file().string() + ".tmp.2.0";
  std::ofstream(old) << "x";
  std::ofstream(young) << "x";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  load(kKey);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
}

TEST_F(PackedStoreTest, TheKeyTellsModelsAndFormatsApart) {
  auto key = [&](const Hash128& content, std::vector<WeightFormat> formats) {
    return packed_key(content, formats, stream_);
  };
  const Hash128 a = key({1, 1}, {kFormats[0], kFormats[1]});
  EXPECT_EQ(a, key({1, 1}, {kFormats[0], kFormats[1]}));
  EXPECT_NE(a, key({1, 2}, {kFormats[0], kFormats[1]}));
  EXPECT_NE(a, key({1, 1}, {kFormats[1], kFormats[0]}));
  EXPECT_NE(a, key({1, 1}, {kFormats[0], kFormats[2]}));
  EXPECT_NE(a, key({1, 1}, {kFormats[0], kFormats[1], kFormats[2]}));
  EXPECT_NE(key({1, 1}, {kFormats[0], {WeightScheme::kInt4, 32}}),
            key({1, 1}, {kFormats[0], {WeightScheme::kInt4, 128}}));
}

}  // namespace
}  // namespace pagoda
