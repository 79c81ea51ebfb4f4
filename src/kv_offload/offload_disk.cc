#include "kv_offload/offload_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <string_view>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "base/mmap.h"
#include "kv_offload/offload_file.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxQueue = 1 << 16;  // jobs
constexpr std::chrono::seconds kMaxDrainTime{5}, kLogInterval{60};

std::string hex_of(std::span<const uint8_t> bytes) {
  std::string text;
  for (uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "<64 digits>-<group>.kv"
std::optional<OffloadFile> parse_name(std::string_view name) {
  constexpr std::size_t kDigits = 64;
  if (name.size() < kDigits + 5 || !is_hex(name.substr(0, kDigits)) || name[kDigits] != '-' ||
      !name.ends_with(".kv"))
    return std::nullopt;
  OffloadFile file;
  for (std::size_t i = 0; i < file.key.bytes.size(); ++i)
    std::from_chars(name.data() + 2 * i, name.data() + 2 * i + 2, file.key.bytes[i], 16);
  const char *begin = name.data() + kDigits + 1, *end = name.data() + name.size() - 3;
  auto [parsed, error] = std::from_chars(begin, end, file.group);
  if (error != std::errc() || parsed != end || file.group < 0) return std::nullopt;
  return file;
}

// 32 random bytes, drawn once; the first of several processes wins.
Result<std::string> root_key(const std::string& folder) {
  const std::string path = folder + "/root.key";
  std::string temporary = fmt::format("{}/root.key.{}", folder, ::getpid());
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0)
    return io_error(fmt::format("cannot write to the folder '{}': {}", folder, std::strerror(errno)));
  std::random_device device;
  std::array<uint8_t, 32> bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(device());
  const std::string text = hex_of(bytes) + "\n";
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const bool closed = ::close(fd) == 0;
  // Not over one that is there: where that fails, reading says whether there is a key.
  if (written && closed && ::link(temporary.c_str(), path.c_str()) != 0)
    log_debug("{} is there already", path);
  ::unlink(temporary.c_str());
  Result<std::string> key = read_file(path, 4096);
  if (!key.ok()) return key.status();
  if (key->ends_with('\n')) key->pop_back();
  if (key->size() != 64 || !is_hex(*key))
    return io_error(
        fmt::format("'{}' does not hold 64 hexadecimal digits: remove it, and what is kept there "
                    "is computed anew",
                    path));
  return key;
}

std::string format_prefix() {
  return fmt::format("v{}-", kOffloadFormat);
}
std::string folder_of(const OffloadDiskConfig& config) {
  return config.path + "/" + format_prefix() + config.fingerprint.hex().substr(0, 16);
}

// Format 1 had no prefix.
void log_other_formats(const std::string& path) {
  int num_others = 0;
  std::error_code error;
  for (fs::directory_iterator it(path, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::size_t dash = name.find('-');
    const std::string digits = dash == name.npos ? name : name.substr(dash + 1);
    const bool is_other = digits.size() == 16 && is_hex(digits) && !name.starts_with(format_prefix());
    std::error_code ignored;
    num_others += is_other && it->is_directory(ignored);
  }
  if (num_others > 0)
    log_info("KV offloading: '{}' holds {} folders of another file format, which are ignored", path,
             num_others);
}

}  // namespace

Status make_private_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
    if (fs::is_directory(path, error)) return {};
    errno = ENOTDIR;
  }
  return io_error(fmt::format("cannot make the folder '{}': {}", path, std::strerror(errno)));
}

Result<std::unique_ptr<OffloadDisk>> OffloadDisk::open(const OffloadDiskConfig& config) {
  PAGODA_RETURN_IF_ERROR(make_private_folder(config.path));
  PAGODA_TRY(std::string seed, root_key(config.path));
  log_other_formats(config.path);
  const std::string folder = folder_of(config);
  PAGODA_RETURN_IF_ERROR(make_private_folder(folder));
  const std::string lock_path = folder + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return io_error(fmt::format("cannot open '{}': {}", lock_path, std::strerror(errno)));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return Status(
        StatusCode::kUnavailable,
        fmt::format("another process keeps the same model's blocks in '{}': give this one a folder of "
                    "its own (--kv-offloading-path)",
                    folder));
  }
  std::unique_ptr<OffloadDisk> opened(new OffloadDisk(config, lock));
  opened->seed_ = std::move(seed);
  PAGODA_RETURN_IF_ERROR(opened->scan());
  opened->thread_ = std::thread([disk = opened.get()] { disk->loop(); });
  return opened;
}

OffloadDisk::OffloadDisk(const OffloadDiskConfig& config, int lock)
    : config_(config), folder_(folder_of(config)), lock_(lock) {}

OffloadDisk::~OffloadDisk() {
  {
    std::lock_guard guard(mutex_);
    stop_ = true;
    stop_by_ = Clock::now() + kMaxDrainTime;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  ::close(lock_);
}

std::string OffloadDisk::file_name(const BlockKey& key, int32_t group) const {
  const std::string digits = hex_of(key.bytes);
  return fmt::format("{}/{}/{}-{}.kv", folder_, digits.substr(0, 2), digits, group);
}

// Names, sizes and times only. What is no block's file of the right size, or one too many, is removed.
Status OffloadDisk::scan() {
  struct Found {
    fs::file_time_type time;
    OffloadFile file;
    std::string path;
  };
  std::vector<Found> found;
  std::error_code error;
  fs::directory_iterator folders(folder_, error);
  if (error) return io_error(fmt::format("cannot read the folder '{}': {}", folder_, error.message()));
  for (const fs::directory_entry& sub : folders) {
    const std::string two = sub.path().filename().string();
    if (two.size() != 2 || !is_hex(two) || sub.is_symlink(error) || !sub.is_directory(error)) continue;
    for (fs::directory_iterator entries(sub.path(), error); !error && entries != fs::directory_iterator();
         entries.increment(error)) {
      const fs::directory_entry& entry = *entries;
      std::error_code ignored;
      const std::string name = entry.path().filename().string();
      const std::optional<OffloadFile> file = parse_name(name);
      const bool fits = file && name.starts_with(two) && !entry.is_symlink(ignored) &&
                        entry.is_regular_file(ignored) && file->group < config_.num_groups &&
                        entry.file_size(ignored) == offload_file_bytes(config_.page_bytes);
      if (fits)
        found.push_back({entry.last_write_time(ignored), *file, entry.path().string()});
      else if (name.ends_with(".kv") || name.ends_with(".tmp"))
        ::unlink(entry.path().c_str());
    }
    error.clear();
  }
  std::ranges::sort(found, {}, &Found::time);
  const std::size_t excess =
      found.size() - std::min(found.size(), static_cast<std::size_t>(config_.max_files));
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i < excess)
      ::unlink(found[i].path.c_str());
    else
      files_.push_back(found[i].file);
  }
  return {};
}

void OffloadDisk::begin(const OffloadMove& move, std::span<std::byte> slot) {
  std::lock_guard guard(mutex_);
  const bool is_drop = move.kind == OffloadMoveKind::kDrop;
  if (!is_drop && fetches_.size() + writes_.size() >= kMaxQueue) {
    ended_.push_back({move.kind, move.group, move.slot, move.key, false});
    return;
  }
  num_under_way_ += !is_drop;
  const std::size_t most = ended_.size() + static_cast<std::size_t>(num_under_way_);
  if (ended_.capacity() < most) ended_.reserve(2 * most);  // end_move() finds room
  (move.kind == OffloadMoveKind::kFetch ? fetches_ : writes_).push_back({move, slot});
  work_.notify_one();
}

void OffloadDisk::take_ended(std::vector<OffloadMoveEnd>* ended) {
  std::lock_guard guard(mutex_);
  ended->insert(ended->end(), ended_.begin(), ended_.end());
  ended_.clear();
}

bool OffloadDisk::is_busy() {
  std::lock_guard guard(mutex_);
  return num_under_way_ > 0;
}

void OffloadDisk::loop() {
  std::unique_lock guard(mutex_);
  while (true) {
    work_.wait(guard, [this] { return stop_ || !fetches_.empty() || !writes_.empty(); });
    if (stop_) fetches_.clear();  // what they read is not used any more
    if (stop_ && (writes_.empty() || Clock::now() >= stop_by_)) return;
    std::deque<Job>& queue = fetches_.empty() ? writes_ : fetches_;
    if (queue.empty()) continue;
    const Job job = queue.front();
    queue.pop_front();
    guard.unlock();
    run(job);
    guard.lock();
  }
}

// A job that there is no memory for has failed, as on a full disk.
void OffloadDisk::run(const Job& job) noexcept {
  UseOfReserve to_settle;
  try {
    carry_out(job);
  } catch (const std::exception& error) {
    log_error("KV offloading: {}", error.what());
    if (job.move.kind != OffloadMoveKind::kDrop) end_move(job.move, false);
  }
}

void OffloadDisk::end_move(const OffloadMove& move, bool ok) {
  {
    std::lock_guard guard(mutex_);
    --num_under_way_;
    ended_.push_back({move.kind, move.group, move.slot, move.key, ok});
  }
  if (wake_) wake_();
}

void OffloadDisk::carry_out(const Job& job) {
  const OffloadMove& move = job.move;
  if (move.kind == OffloadMoveKind::kDrop) {
    if (move.group < 0)
      remove_all();
    else
      ::unlink(file_name(move.key, move.group).c_str());
    return;
  }
  const std::string path = file_name(move.key, move.group);
  const OffloadFileId name{config_.fingerprint, move.key, move.group};
  Status status;
  if (move.kind == OffloadMoveKind::kSpill) {
    status = write_offload_file(path, name, job.slot);
    if (status.code() == StatusCode::kNotFound) {  // the first of its subfolder
      ::mkdir(fs::path(path).parent_path().c_str(), 0700);
      status = write_offload_file(path, name, job.slot);
    }
  } else {
    status = read_offload_file(path, name, job.slot);
    if (!status.ok()) ::unlink(path.c_str());
  }
  std::error_code ignored;
  // Not made again: its lock is gone with it, and another process may make it its own.
  if (status.code() == StatusCode::kNotFound && !fs::is_directory(folder_, ignored))
    status =
        io_error(fmt::format("'{}' has been removed: nothing is offloaded to disk until a restart", folder_));
  if (!status.ok()) log_throttled(status);
  end_move(move, status.ok());
}

void OffloadDisk::remove_all() const {
  std::error_code error;
  for (const fs::directory_entry& sub : fs::directory_iterator(folder_, error)) {
    const std::string two = sub.path().filename().string();
    std::error_code ignored;
    if (two.size() == 2 && is_hex(two)) fs::remove_all(sub.path(), ignored);
  }
}

// Once a minute at most.
void OffloadDisk::log_throttled(const Status& status) {
  ++num_failures_;
  if (Clock::now() < next_log_) return;
  log_warning("KV offloading: {}{}; serving goes on.", status.message(),
              num_failures_ > 1 ? fmt::format(" (one of {} since the last line)", num_failures_) : "");
  next_log_ = Clock::now() + kLogInterval;
  num_failures_ = 0;
}

}  // namespace pagoda
