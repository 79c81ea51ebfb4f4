#include "weights/content_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <set>

#include "base/mmap.h"

namespace pagoda {
namespace {

// Which files these are and when they were last written. nullopt: not (only) files, or too new to tell.
std::optional<Hash128> identity(const Checkpoint& checkpoint, int64_t settled_seconds) {
  std::set<std::string> files;
  for (const StoredTensor& tensor : checkpoint.stored()) files.insert(tensor.file);
  std::string text = "content key 1";
  for (const std::string& file : files) {
    struct stat info;
    if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    if (std::max(info.st_mtim.tv_sec, info.st_ctim.tv_sec) + settled_seconds > std::time(nullptr))
      return std::nullopt;
    text += fmt::format("|{} {} {} {}.{} {}.{}", std::filesystem::path(file).filename().string(), info.st_ino,
                        info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                        info.st_ctim.tv_nsec);
  }
  return hash128(text);
}

Hash128 hash_all(const Checkpoint& checkpoint, ComputePool& pool) {
  std::string text;
  for (const StoredTensor& tensor : checkpoint.stored()) {
    text += fmt::format("{} {} {} {} {}\n", tensor.name.size(), tensor.name, dtype_name(tensor.dtype),
                        shape_text(tensor.shape), parallel_hash128(tensor.data, pool).hex());
    checkpoint.release(tensor.data);
  }
  return hash128(text);
}

// A note is the key's digits and the hash of them.
std::string note_text(const Hash128& key) {
  return key.hex() + "\n" + hash128(key.hex()).hex() + "\n";
}

std::optional<Hash128> read_note(const std::string& path) {
  Result<std::string> text = read_file(path, 1024);
  if (!text.ok()) return std::nullopt;
  if (text->size() < 32) return std::nullopt;
  Hash128 key;
  std::from_chars(text->data(), text->data() + 16, key.high, 16);
  std::from_chars(text->data() + 16, text->data() + 32, key.low, 16);
  return *text == note_text(key) ? std::optional(key) : std::nullopt;
}

// Not being able to is no loss but of time.
void write_note(const std::string& path, const Hash128& key) {
  const std::string text = note_text(key), temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) ::unlink(temporary.c_str());
}

}  // namespace

Hash128 content_key(const Checkpoint& checkpoint, const std::string& shortcut_folder, ComputePool& pool,
                    int64_t settled_seconds) {
  std::optional<Hash128> known =
      shortcut_folder.empty() ? std::nullopt : identity(checkpoint, settled_seconds);
  if (!known) return hash_all(checkpoint, pool);
  const std::string path = (std::filesystem::path(shortcut_folder) / (known->hex() + ".key")).string();
  if (std::optional<Hash128> key = read_note(path)) return *key;
  const Hash128 key = hash_all(checkpoint, pool);
  std::error_code error;
  std::filesystem::create_directories(shortcut_folder, error);
  if (identity(checkpoint, settled_seconds) == known) write_note(path, key);
  return key;
}

}  // namespace pagoda
