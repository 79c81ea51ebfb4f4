#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/env.h"
#include "base/mmap.h"
#include "base/queue.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/value.h"

namespace pagoda {
namespace {

// Known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Rng, PhiloxMatchesThePublishedVectors) {
  using Counter = std::array<uint32_t, 4>;
  struct Case {
    Counter counter;
    std::array<uint32_t, 2> key;
    Counter expected;
  } cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Case& c : cases) EXPECT_EQ(philox4x32(c.counter, c.key), c.expected);
}

Result<int> half(int number) {
  if (number % 2 != 0) return invalid_argument("odd", "number");
  return number / 2;
}
Result<int> quarter(int number) {
  PAGODA_TRY(int once, half(number));
  PAGODA_TRY(int twice, half(once));
  return twice;
}

TEST(Status, TryPassesValuesOnAndErrorsOut) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).status().message(), "odd");
  EXPECT_EQ(quarter(6).status().param(), "number");
  EXPECT_EQ(quarter(7).status().with_context("quarter").message(), "quarter: odd");
}

TEST(Value, ObjectsKeepOrderAndReplaceInPlace) {
  Object object;
  object.set("b", 1);
  object.set("a", "x");
  object.set("b", 2.5);
  ASSERT_EQ(object.size(), 2u);
  EXPECT_EQ(object.begin()->key, "b");
  EXPECT_EQ(object.find("b")->as_double(), 2.5);
  EXPECT_EQ(object.find("c"), nullptr);
  EXPECT_TRUE(object.erase("b"));
  EXPECT_FALSE(object.erase("b"));
  EXPECT_TRUE(Value(2) == Value(2.0));
  EXPECT_FALSE(Value(1) == Value(true));
}

TEST(Queue, AFullOrClosedQueueSaysSo) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  int item = 0;
  EXPECT_TRUE(queue.pop(&item));
  EXPECT_EQ(item, 1);
  EXPECT_TRUE(queue.try_push(4));
  queue.close();
  EXPECT_FALSE(queue.try_push(5));
  EXPECT_TRUE(queue.pop(&item) && queue.pop(&item));
  EXPECT_EQ(item, 4);
  EXPECT_FALSE(queue.pop(&item));
}

TEST(Queue, NothingIsLostBetweenThreads) {
  BoundedQueue<int> queue(64);
  constexpr int kProducers = 3, kEach = 2000;
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p)
    producers.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i)
        while (!queue.try_push(p * kEach + i)) std::this_thread::yield();
    });
  std::vector<bool> seen(kProducers * kEach);
  for (int i = 0, item; i < kProducers * kEach; ++i) {
    ASSERT_TRUE(queue.pop(&item));
    EXPECT_FALSE(seen[static_cast<std::size_t>(item)]);
    seen[static_cast<std::size_t>(item)] = true;
  }
  for (std::thread& producer : producers) producer.join();
}

TEST(Env, LimitsAreSane) {
  EXPECT_GE(usable_cpu_count(), 1);
  EXPECT_LE(usable_cpu_count(), static_cast<int>(allowed_cpus().size()));
  EXPECT_GT(usable_memory_bytes(), 1u << 20);
  EXPECT_LE(available_memory_bytes(), usable_memory_bytes());
  EXPECT_FALSE(environment("PAGODA_SURELY_NOT_SET").has_value());
}

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("pagoda_mmap_" + std::to_string(::getpid()));
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(MappedFileTest, ReadsWhatIsThereAndNamesWhatIsNot) {
  EXPECT_EQ(MappedFile::open(path_).status().code(), StatusCode::kNotFound);
  EXPECT_NE(MappedFile::open(path_).status().message().find(path_.string()), std::string::npos);
  EXPECT_FALSE(MappedFile::open("/tmp").ok());
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(MappedFile::open(path_).ok()) << "a FIFO that nobody writes to";
  std::filesystem::remove(path_);
  std::ofstream(path_) << "";
  EXPECT_EQ(MappedFile::open(path_)->bytes().size(), 0u);
  std::ofstream(path_) << "hello";
  EXPECT_EQ(MappedFile::open(path_)->text(), "hello");
  EXPECT_EQ(*read_file(path_), "hello");
  EXPECT_EQ(read_file(path_, 4).status().code(), StatusCode::kTooLarge);
}

#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
TEST_F(MappedFileTest, AFileCutOffLaterEndsTheProcessWithItsName) {
  std::ofstream(path_) << std::string(1 << 16, 'x');
  auto touch_after_truncation = [&] {
    install_sigbus_handler();
    Result<MappedFile> file = MappedFile::open(path_);
    std::filesystem::resize_file(path_, 0);
    volatile char c = file->text()[40000];
    (void)c;
  };
  EXPECT_EXIT(touch_after_truncation(), ::testing::ExitedWithCode(1), "truncated while it was in use: .*pagoda_mmap");
}
#endif
#endif

}  // namespace
}  // namespace pagoda
