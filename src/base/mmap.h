// Whole files, mapped read-only or read. Only regular files are: what is opened here is named by a flag or
// lies in a folder of others, and a pipe, a device or a socket in its place would wait for ever or never end.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pagoda {

class MappedFile {
 public:
  // Error kNotFound or, for all else (a link to nothing, too), kIo, with the path. An empty file maps to an
  // empty span. A file truncated after the mapping raises SIGBUS when touched: install_sigbus_handler() turns
  // that into a message that names the file, and exit code 1.
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  // Tells the kernel that these pages will not be read again.
  void release(std::size_t offset, std::size_t length) const;
  // Asks the kernel to keep what is read in memory, however idle. false: it will not (RLIMIT_MEMLOCK), and
  // pages may have to be read from the disk again.
  bool keep_resident() const;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

void install_sigbus_handler();

// The whole file as a string; error kIo or kNotFound with the path, kTooLarge over `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = std::size_t{1} << 30);

}  // namespace pagoda
