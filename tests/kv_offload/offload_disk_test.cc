#include "kv_offload/offload_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <semaphore>
#include <thread>

#include "base/log.h"
#include "base/mmap.h"
#include "base/rng.h"
#include "kv_offload/offload_file.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;
using testing::write_file;
using Bytes = std::vector<std::byte>;

BlockKey key_of(uint64_t number) {
  BlockKey key;
  SplitMix64 random(number);
  for (uint8_t& byte : key.bytes) byte = static_cast<uint8_t>(random.next());
  return key;
}
Bytes bytes_of(uint64_t number, std::size_t size) {
  Bytes bytes;
  SplitMix64 random(number);
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(random.next()));
  return bytes;
}
constexpr std::size_t kBytes = 1000;

OffloadDiskConfig config_of(const std::string& path, int64_t max_files = 100, uint64_t fingerprint = 7) {
  return {path, {fingerprint, fingerprint + 1}, kBytes, 2, max_files};
}
std::unique_ptr<OffloadDisk> open_disk(const OffloadDiskConfig& config) {
  Result<std::unique_ptr<OffloadDisk>> disk = OffloadDisk::open(config);
  EXPECT_TRUE(disk.ok()) << disk.status().message();
  return disk.ok() ? *std::move(disk) : nullptr;
}
// One move from its begin to its end.
bool move(OffloadDisk* disk, OffloadMoveKind kind, uint64_t key, int32_t group, std::span<std::byte> bytes) {
  disk->begin({kind, group, kNullBlock, 3, key_of(key)}, bytes);
  std::vector<OffloadMoveEnd> ended;
  for (int i = 0; i < 10000 && ended.empty(); ++i) {
    disk->take_ended(&ended);
    if (ended.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(ended.size(), 1u);
  if (ended.size() != 1) return false;
  EXPECT_EQ(ended[0].kind, kind);
  EXPECT_EQ(ended[0].group, group);
  EXPECT_EQ(ended[0].slot, 3);
  EXPECT_EQ(ended[0].key, key_of(key));
  return ended[0].ok;
}
bool spill(OffloadDisk* disk, uint64_t key, int32_t group = 0) {
  Bytes bytes = bytes_of(key, kBytes);
  return move(disk, OffloadMoveKind::kSpill, key, group, bytes);
}
bool fetch(OffloadDisk* disk, uint64_t key, int32_t group = 0) {
  Bytes bytes(kBytes);
  if (!move(disk, OffloadMoveKind::kFetch, key, group, bytes)) return false;
  EXPECT_EQ(bytes, bytes_of(key, kBytes));
  return true;
}
std::vector<std::string> block_files(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.path().extension() == ".kv") files.push_back(entry.path().string());
  return files;
}

TEST(OffloadDisk, WritesAndReads) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.file("kv")));
  for (uint64_t key : {1, 2, 3}) {
    EXPECT_TRUE(spill(disk.get(), key, 0));
    EXPECT_TRUE(spill(disk.get(), key, 1)) << "groups are apart";
  }
  for (uint64_t key : {3, 1, 2, 1}) {
    EXPECT_TRUE(fetch(disk.get(), key, 0));
    EXPECT_TRUE(fetch(disk.get(), key, 1));
  }
  EXPECT_FALSE(fetch(disk.get(), 4));
  for (const std::string& file : block_files(dir.path())) {
    struct stat info;
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
  struct stat info;
  ASSERT_EQ(::stat(dir.file("kv").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

// The engine sleeps until then: an end without a wake would be found too late or never.
TEST(OffloadDisk, EveryEndWakes) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.path()));
  std::counting_semaphore<> woken(0);
  disk->on_move_end([&] { woken.release(); });
  constexpr int kMoves = 50;
  std::vector<Bytes> slots;
  for (uint64_t key = 0; key < kMoves; ++key) slots.push_back(bytes_of(key, kBytes));
  for (uint64_t key = 0; key < kMoves; ++key)
    disk->begin({OffloadMoveKind::kSpill, 0, kNullBlock, static_cast<int32_t>(key), key_of(key)}, slots[key]);
  std::vector<OffloadMoveEnd> ended;
  for (int i = 0; i < kMoves; ++i) {
    ASSERT_TRUE(woken.try_acquire_for(std::chrono::seconds(60)));
    disk->take_ended(&ended);
    EXPECT_GT(ended.size(), static_cast<std::size_t>(i)) << "woken before the end can be taken";
  }
  EXPECT_EQ(ended.size(), static_cast<std::size_t>(kMoves));
  EXPECT_FALSE(disk->is_busy());
}

TEST(OffloadDisk, DropsOneOrAll) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.path()));
  for (uint64_t key : {1, 2, 3}) EXPECT_TRUE(spill(disk.get(), key));
  disk->begin({OffloadMoveKind::kDrop, 0, kNullBlock, -1, key_of(2)}, {});
  EXPECT_TRUE(spill(disk.get(), 4));  // what is begun later ends later
  EXPECT_EQ(block_files(dir.path()).size(), 3u);
  EXPECT_FALSE(fetch(disk.get(), 2));
  disk->begin({OffloadMoveKind::kDrop, -1, kNullBlock, -1, {}}, {});
  EXPECT_TRUE(spill(disk.get(), 5));
  EXPECT_EQ(block_files(dir.path()).size(), 1u);
}

TEST(OffloadDisk, ARestartFindsTheFilesOldestFirst) {
  TempDir dir;
  std::string seed;
  {
    auto disk = open_disk(config_of(dir.path()));
    seed = disk->seed();
    EXPECT_EQ(seed.size(), 64u);
    EXPECT_TRUE(disk->files().empty());
    for (uint64_t key : {1, 2, 3}) {
      EXPECT_TRUE(spill(disk.get(), key));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(fetch(disk.get(), 1));  // most recently used
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    Bytes bytes = bytes_of(9, kBytes);
    disk->begin({OffloadMoveKind::kSpill, 1, kNullBlock, 0, key_of(9)}, bytes);
    disk.reset();  // still writes it
  }
  auto disk = open_disk(config_of(dir.path()));
  EXPECT_EQ(disk->seed(), seed);
  ASSERT_EQ(disk->files().size(), 4u);
  EXPECT_EQ(disk->files()[0].key, key_of(2));
  EXPECT_EQ(disk->files()[1].key, key_of(3));
  EXPECT_EQ(disk->files()[2].key, key_of(1));
  EXPECT_EQ(disk->files()[3].group, 1);
  EXPECT_TRUE(fetch(disk.get(), 3));
  disk.reset();
  disk = open_disk(config_of(dir.path(), 2));
  ASSERT_EQ(disk->files().size(), 2u) << "more than fit";
  EXPECT_EQ(block_files(dir.path()).size(), 2u);
}

TEST(OffloadDisk, AnotherModelHasItsOwn) {
  TempDir dir;
  auto mine = open_disk(config_of(dir.path(), 100, 1)), yours = open_disk(config_of(dir.path(), 100, 20));
  EXPECT_TRUE(spill(mine.get(), 1));
  EXPECT_FALSE(fetch(yours.get(), 1));
  EXPECT_TRUE(fetch(mine.get(), 1));
  EXPECT_EQ(mine->seed(), yours->seed());
}

// What other formats have left stays where it is.
TEST(OffloadDisk, AnotherFormatHasItsOwn) {
  TempDir dir;
  {
    auto disk = open_disk(config_of(dir.path()));
    EXPECT_TRUE(spill(disk.get(), 1));
  }
  const std::string folder = fs::path(block_files(dir.path())[0]).parent_path().parent_path().filename();
  ASSERT_EQ(folder.substr(0, 3), "v2-");
  const std::string old = dir.path() + "/" + folder.substr(3);
  fs::rename(dir.path() + "/" + folder, old);
  auto disk = open_disk(config_of(dir.path()));
  EXPECT_TRUE(disk->files().empty());
  EXPECT_TRUE(fs::exists(old));
}

TEST(OffloadDisk, OneProcessAtATime) {
  TempDir dir;
  auto first = open_disk(config_of(dir.path()));
  Result<std::unique_ptr<OffloadDisk>> second = OffloadDisk::open(config_of(dir.path()));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find("--kv-offloading-path"), std::string::npos);
  first.reset();
  EXPECT_TRUE(OffloadDisk::open(config_of(dir.path())).ok());
}

TEST(OffloadDisk, EveryDamageIsFoundAndRemoved) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.path()));
  ASSERT_TRUE(spill(disk.get(), 1));
  const std::string path = block_files(dir.path())[0];
  const std::string good = read_file(path).value();
  auto expect_refused = [&](const std::string& what, const std::string& bytes) {
    write_file(path, bytes);
    EXPECT_FALSE(fetch(disk.get(), 1)) << what;
    EXPECT_FALSE(fs::exists(path)) << what;
  };
  for (std::size_t at = 0; at < good.size(); at += at < 100 ? 1 : 37) {
    for (int bit : {0, 7}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      expect_refused("bit " + std::to_string(bit) + " of byte " + std::to_string(at), bytes);
    }
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{87}, std::size_t{88}, good.size() - 1})
    expect_refused("cut to " + std::to_string(size), good.substr(0, size));
  expect_refused("longer", good + "x");
  expect_refused("zeros", std::string(good.size(), '\0'));
  // Another block under this name.
  ASSERT_TRUE(spill(disk.get(), 2));
  const std::string other = read_file(block_files(dir.path())[0]).value();
  expect_refused("another block", other);
  // What is no file.
  fs::create_directory(path);
  EXPECT_FALSE(fetch(disk.get(), 1));
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(fetch(disk.get(), 1));
  write_file(dir.file("elsewhere"), good);
  ::unlink(path.c_str());
  fs::create_symlink(dir.file("elsewhere"), path);
  EXPECT_FALSE(fetch(disk.get(), 1)) << "links are not followed";
  write_file(path, good);
  EXPECT_TRUE(fetch(disk.get(), 1)) << "unharmed, it is good";
}

TEST(OffloadDisk, StrangeThingsInTheFolderAreNoBlocks) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.path()));
  ASSERT_TRUE(spill(disk.get(), 1));
  disk.reset();
  const std::string path = block_files(dir.path())[0], sub = fs::path(path).parent_path().string();
  const std::string name = fs::path(path).filename().string(), good = read_file(path).value();
  const std::string digits = name.substr(0, 64);
  const std::vector<std::string> strange_names = {"-0.kv",
                                                  "x.kv",
                                                  "0.kv.tmp",
                                                  "..kv",
                                                  digits + "-2.kv",
                                                  digits + "-99999999999.kv",
                                                  digits + "--1.kv",
                                                  digits + "-.kv",
                                                  digits.substr(1) + "g-0.kv",
                                                  "notes.txt"};
  for (const std::string& strange : strange_names) write_file(sub + "/" + strange, good);
  write_file(sub + "/" + name.substr(0, 64) + "-1.kv", "too short");
  write_file(fs::path(sub).parent_path().string() + "/readme", "hello");
  disk = open_disk(config_of(dir.path()));
  ASSERT_EQ(disk->files().size(), 1u);
  EXPECT_EQ(disk->files()[0].key, key_of(1));
  EXPECT_EQ(block_files(dir.path()).size(), 1u) << "no block's files are removed";
  EXPECT_TRUE(fs::exists(sub + "/notes.txt")) << "what is not ours stays";
}

TEST(OffloadDisk, AFailingDiskIsSaid) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.path()));
  ASSERT_TRUE(spill(disk.get(), 1));
  const std::string sub = fs::path(block_files(dir.path())[0]).parent_path().string();
  fs::remove_all(sub);
  write_file(sub, "a file in the folder's place");
  EXPECT_FALSE(spill(disk.get(), 1));
  fs::remove(sub);
  EXPECT_TRUE(spill(disk.get(), 1));
  // A write that ends early, as on a full disk.
  const auto before_signal = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{500, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_FALSE(spill(disk.get(), 2));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, before_signal);
  EXPECT_EQ(block_files(dir.path()).size(), 1u);
  for (const auto& entry : fs::recursive_directory_iterator(dir.path()))
    EXPECT_NE(entry.path().extension(), ".tmp") << "nothing half-written is left";
  EXPECT_TRUE(spill(disk.get(), 2));
}

TEST(OffloadDisk, ARemovedFolderIsSaidAndNotMadeAgain) {
  TempDir dir;
  auto disk = open_disk(config_of(dir.file("kv")));
  ASSERT_TRUE(spill(disk.get(), 1));
  fs::remove_all(dir.file("kv"));
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(fetch(disk.get(), 1));
  EXPECT_FALSE(spill(disk.get(), 2));
  flush_log(std::chrono::seconds(10));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("has been removed: nothing is offloaded to disk until a restart"), log.npos) << log;
  EXPECT_FALSE(fs::exists(dir.file("kv")));
}

TEST(OffloadDisk, UnusableFoldersAreRefused) {
  TempDir dir;
  write_file(dir.file("file"), "");
  Result<std::unique_ptr<OffloadDisk>> disk = OffloadDisk::open(config_of(dir.file("file")));
  ASSERT_FALSE(disk.ok());
  EXPECT_NE(disk.status().message().find(dir.file("file")), std::string::npos);
  EXPECT_FALSE(OffloadDisk::open(config_of("/proc/none/kv")).ok());
  write_file(dir.file("root.key"), "short");
  disk = OffloadDisk::open(config_of(dir.path()));
  ASSERT_FALSE(disk.ok());
  EXPECT_NE(disk.status().message().find("root.key"), std::string::npos);
}

}  // namespace
}  // namespace pagoda
