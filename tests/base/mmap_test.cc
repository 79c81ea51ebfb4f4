#include "base/mmap.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

namespace pagoda {
namespace {

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
  std::ofstream(path_) << "";
  EXPECT_EQ(MappedFile::open(path_)->bytes().size(), 0u);
  std::ofstream(path_) << "hello";
  EXPECT_EQ(MappedFile::open(path_)->text(), "hello");
  EXPECT_EQ(*read_file(path_), "hello");
  EXPECT_EQ(read_file(path_, 4).status().code(), StatusCode::kTooLarge);
}

// None of these waits, or reads without end.
TEST_F(MappedFileTest, WhatIsNoRegularFileIsRefusedAtOnceWithItsKind) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const struct {
    std::string path, kind;
  } cases[] = {{path_, "a pipe"}, {"/tmp", "a folder"}, {"/dev/zero", "a device"}, {"/dev/tty0", ""}};
  for (const auto& [path, kind] : cases)
    for (const Status& status : {MappedFile::open(path).status(), read_file(path).status()}) {
      EXPECT_FALSE(status.ok()) << path;
      EXPECT_NE(status.message().find(kind), std::string::npos) << status.message();
      EXPECT_NE(status.message().find(path), std::string::npos) << status.message();
    }
  EXPECT_FALSE(read_file(std::string("/etc/passwd\0.json", 17)).ok());
}

TEST_F(MappedFileTest, LargeFilesLieAsHugePagesDo) {
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  for (std::size_t size : {kHuge - 1, kHuge, kHuge + 1, 3 * kHuge + 5000}) {
    std::string bytes(size, 'x');
    bytes.back() = 'y';
    std::ofstream(path_) << bytes;
    std::vector<MappedFile> files;
    for (int i = 0; i < 3; ++i) {
      Result<MappedFile> file = MappedFile::open(path_);
      ASSERT_TRUE(file.ok());
      EXPECT_EQ(file->text(), bytes) << size;
      if (size >= kHuge) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(file->bytes().data()) % kHuge, 0u) << size;
      }
      files.push_back(*std::move(file));
    }
    (void)files[1].keep_resident();  // as the limits of this process have it
    EXPECT_EQ(files[1].text(), bytes);
    files[1].release(0, size);
    EXPECT_EQ(files[1].text(), bytes) << "released pages come back";
  }
}

// Pages of files in this process's memory, in bytes.
std::size_t file_pages() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0, shared = 0;
  statm >> size >> resident >> shared;
  return shared * 4096;
}

TEST_F(MappedFileTest, ReleasedPagesLeaveTheProcess) {
  constexpr std::size_t kSize = 64 << 20, kPart = 16 << 20;
  std::ofstream(path_) << std::string(kSize, 'x');
  Result<MappedFile> file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok());
  const std::size_t before = file_pages();
  EXPECT_EQ(static_cast<std::size_t>(std::count(file->text().begin(), file->text().end(), 'x')), kSize);
  const std::size_t touched = file_pages();
  EXPECT_GT(touched, before + kSize / 10 * 9);
  file->release(kPart + 5, kPart);  // the whole pages of it
  EXPECT_LT(file_pages(), touched - kPart / 10 * 9);
  file->release(0, kSize);
  EXPECT_LT(file_pages(), before + kSize / 10);
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
  EXPECT_EXIT(touch_after_truncation(), ::testing::ExitedWithCode(1),
              "truncated while it was in use: .*pagoda_mmap");
}
#endif
#endif

}  // namespace
}  // namespace pagoda
