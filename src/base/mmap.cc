#include "base/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/log.h"

namespace pagoda {
namespace {

// Mapped ranges, readable from a signal handler: fixed slots, names copied, no locks.
struct MappedRange {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::array<char, 256> name{};
};
std::array<MappedRange, 512> mapped_ranges;

void remember(const void* data, std::size_t size, const std::string& path) {
  for (MappedRange& range : mapped_ranges) {
    uintptr_t free_slot = 0;
    if (!range.begin.compare_exchange_strong(free_slot, reinterpret_cast<uintptr_t>(data))) continue;
    std::strncpy(range.name.data(), path.c_str(), range.name.size() - 1);
    range.end.store(reinterpret_cast<uintptr_t>(data) + size, std::memory_order_release);
    return;
  }
}

void forget(const void* data) {
  for (MappedRange& range : mapped_ranges) {
    if (range.begin.load() != reinterpret_cast<uintptr_t>(data)) continue;
    range.end.store(0);
    range.begin.store(0);
    return;
  }
}

void say(const char* text) {
  write_within(STDERR_FILENO, text, std::chrono::milliseconds(200));
}

void on_sigbus(int, siginfo_t* info, void*) {
  auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const MappedRange& range : mapped_ranges) {
    if (address < range.begin.load() || address >= range.end.load(std::memory_order_acquire)) continue;
    say("\nA file was truncated while it was in use: ");
    say(range.name.data());
    say("\nRestore it and start again.\n");
    _exit(1);
  }
  std::signal(SIGBUS, SIG_DFL);
  raise(SIGBUS);
}

class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(int fd) { fd_ = fd; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// The file's pages, at a multiple of kHugePage: where the page cache has them in large pieces, they are
// mapped as huge pages. nullptr: errno says why not.
const std::byte* map_whole(int fd, std::size_t size) {
  if (size < kHugePage) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    return data == MAP_FAILED ? nullptr : static_cast<const std::byte*>(data);
  }
  const std::size_t whole = (size + 4095) / 4096 * 4096;
  void* room =
      ::mmap(nullptr, whole + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return nullptr;
  const std::size_t before = (kHugePage - reinterpret_cast<uintptr_t>(room) % kHugePage) % kHugePage;
  auto* aligned = static_cast<std::byte*>(room) + before;
  if (::mmap(aligned, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(room, whole + kHugePage);
    errno = error;
    return nullptr;
  }
  if (before > 0) ::munmap(room, before);
  ::munmap(aligned + whole, kHugePage - before);
  (void)::madvise(aligned, size, MADV_HUGEPAGE);  // read it in large pieces; a hint
  return aligned;
}

Status cannot(const char* verb, const std::string& path) {
  const int error = errno;
  struct stat link;
  if (error == ENOENT && ::lstat(path.c_str(), &link) == 0)
    return io_error("'" + path + "' is a link to a file that is not there");
  std::string message = std::string("cannot ") + verb + " '" + path + "': " + std::strerror(error);
  return error == ENOENT ? not_found(std::move(message)) : io_error(std::move(message));
}

// Does not wait: an open FIFO would, for its writer. The file's size.
Result<std::size_t> open_regular(const std::string& path, Descriptor* file) {
  if (path.find('\0') != std::string::npos) return io_error("a path with a NUL in it names no file");
  file->reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file->get() < 0) return cannot("open", path);
  struct stat info;
  if (::fstat(file->get(), &info) != 0) return cannot("read the size of", path);
  if (S_ISREG(info.st_mode)) return static_cast<std::size_t>(info.st_size);
  const char* kind = S_ISDIR(info.st_mode)    ? "a folder"
                     : S_ISFIFO(info.st_mode) ? "a pipe"
                     : S_ISSOCK(info.st_mode) ? "a socket"
                                              : "a device";
  return io_error("'" + path + "' is not a regular file but " + kind);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  Descriptor fd;
  PAGODA_TRY(const std::size_t size, open_regular(path, &fd));
  MappedFile file;
  file.size_ = size;
  if (file.size_ == 0) return file;
  file.data_ = map_whole(fd.get(), file.size_);
  if (file.data_ == nullptr) {
    file.size_ = 0;
    return cannot("map", path);
  }
  remember(file.data_, file.size_, path);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t length) const {
  constexpr std::size_t kPage = 4096;
  std::size_t begin = (offset + kPage - 1) / kPage * kPage, end = (offset + length) / kPage * kPage;
  if (begin < end && end <= size_)
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

bool MappedFile::keep_resident() const {
  return data_ == nullptr || ::mlock2(data_, size_, MLOCK_ONFAULT) == 0;
}

void install_sigbus_handler() {
  struct sigaction action = {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  Descriptor fd;
  PAGODA_TRY(const std::size_t size, open_regular(path, &fd));
  const Status too_large(StatusCode::kTooLarge,
                         "'" + path + "' is larger than " + std::to_string(bytes_max) + " bytes");
  if (size > bytes_max) return too_large;
  std::string text;
  text.reserve(size);
  for (;;) {
    char buffer[1 << 16];
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot("read", path);
    if (count == 0) return text;
    if (text.size() + static_cast<std::size_t>(count) > bytes_max) return too_large;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace pagoda
