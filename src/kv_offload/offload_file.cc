#include "kv_offload/offload_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pagoda {
namespace {

constexpr uint64_t kMagic = 0x0031564b47415031;  // as a number: a file of the other byte order is refused

struct Header {
  uint64_t magic = kMagic;
  uint32_t version = kOffloadFormat;
  int32_t group = 0;
  Hash128 fingerprint;
  BlockKey key;
  uint64_t num_bytes = 0;
  Hash128 checksum;  // of the bytes
};
static_assert(sizeof(Header) == 88 && std::is_trivially_copyable_v<Header>);

class File {
 public:
  File(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // A full disk may show only here.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

  bool write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t num = ::write(fd_, bytes.data(), bytes.size());
      if (num < 0 && errno == EINTR) continue;
      if (num <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(num));
    }
    return true;
  }
  // False at an error (errno) or the file's end (errno 0).
  bool read(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      errno = 0;
      const ssize_t num = ::read(fd_, bytes.data(), bytes.size());
      if (num < 0 && errno == EINTR) continue;
      if (num <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(num));
    }
    return true;
  }

 private:
  int fd_;
};

Status failed(const char* what, const std::string& path) {
  const int code = errno == 0 ? EIO : errno;
  return {code == ENOENT ? StatusCode::kNotFound : StatusCode::kIo,
          fmt::format("cannot {} '{}': {}", what, path, std::strerror(code))};
}
Status refused(const std::string& path, const std::string& why) {
  return invalid_argument(fmt::format("'{}' {}", path, why));
}

}  // namespace

uint64_t offload_file_bytes(uint64_t page_bytes) {
  return sizeof(Header) + page_bytes;
}

Status write_offload_file(const std::string& path, const OffloadFileId& name,
                          std::span<const std::byte> bytes) {
  Header header;
  header.group = name.group;
  header.fingerprint = name.fingerprint;
  header.key = name.key;
  header.num_bytes = bytes.size();
  header.checksum = hash128(bytes);
  const std::string temporary = path + ".tmp";
  File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.is_open()) return failed("create", temporary);
  const bool written = file.write(std::as_bytes(std::span(&header, 1))) && file.write(bytes) &&
                       file.close() && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (written) return {};
  Status status = failed("write", path);
  ::unlink(temporary.c_str());
  return status;
}

Status read_offload_file(const std::string& path, const OffloadFileId& name, std::span<std::byte> bytes) {
  File file(path, O_RDONLY | O_NONBLOCK);  // a pipe of this name would keep the reader for ever
  if (!file.is_open()) return failed("open", path);
  struct stat info;
  if (::fstat(file.fd(), &info) != 0) return failed("look at", path);
  if (!S_ISREG(info.st_mode)) return refused(path, "is not a file");
  if (static_cast<uint64_t>(info.st_size) != offload_file_bytes(bytes.size()))
    return refused(path, fmt::format("has {} bytes, but a block's file has {}", info.st_size,
                                     offload_file_bytes(bytes.size())));
  Header header;
  if (!file.read(std::as_writable_bytes(std::span(&header, 1)))) return failed("read", path);
  if (header.magic != kMagic) return refused(path, "is not a block of a KV cache");
  if (header.version != kOffloadFormat)
    return refused(path, fmt::format("has file format {}, not {}", header.version, kOffloadFormat));
  if (header.fingerprint != name.fingerprint) return refused(path, "belongs to another model or cache");
  if (header.key != name.key || header.group != name.group) return refused(path, "holds another block");
  if (header.num_bytes != bytes.size()) return refused(path, "says another size than it has");
  if (!file.read(bytes)) return failed("read", path);
  if (hash128(std::span<const std::byte>(bytes)) != header.checksum) return refused(path, "is damaged");
  ::futimens(file.fd(), nullptr);  // most recently used
  return {};
}

}  // namespace pagoda
