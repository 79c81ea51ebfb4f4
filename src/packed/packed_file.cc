#include "packed/packed_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

namespace pagoda {
namespace {

constexpr char kMagic[8] = {'P', 'A', 'G', 'O', 'D', 'A', 'P', 'W'};
constexpr uint32_t kVersion = 2, kByteOrder = 0x01020304;
constexpr uint64_t kPayloadOffset = 2 << 20, kPayloadAlignment = 4096;
constexpr uint32_t kNameBytesMax = 1 << 16;

struct FileHeader {
  char magic[8];
  uint32_t version, byte_order;
  Hash128 key;
  uint64_t table_offset, table_bytes, num_weights, file_bytes;
  Hash128 table_hash;
  Hash128 header_hash;  // of what stands before it
};
static_assert(sizeof(FileHeader) == 96 && std::is_trivially_copyable_v<FileHeader>);

// One weight in the table; its name follows.
struct EntryRecord {
  int64_t n, k;
  uint64_t offset, bytes;
  Hash128 hash;
  int32_t group_rows, group_columns;
  uint32_t name_bytes;
  uint8_t scheme, zero_points, is_gated, zero;
};
static_assert(sizeof(EntryRecord) == 64 && std::is_trivially_copyable_v<EntryRecord>);

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

Hash128 header_hash(const FileHeader& header) {
  return hash128(bytes_of(header).first(offsetof(FileHeader, header_hash)));
}

Status no_file_error(const char* what) {
  return invalid_argument(std::string("it ") + what);
}

Status cannot(const char* verb, const std::string& path) {
  const int error = errno;
  return io_error(fmt::format("cannot {} '{}': {}", verb, path, std::strerror(error)));
}

Status check_header(const FileHeader& header, uint64_t size, const Hash128& key) {
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return no_file_error("holds no packed weights");
  if (header.version != kVersion || header.byte_order != kByteOrder)
    return no_file_error("is of another version or kind of machine");
  if (header.header_hash != header_hash(header)) return no_file_error("has a damaged header");
  if (header.file_bytes != size) return no_file_error("is cut off, or has grown");
  if (header.key != key) return no_file_error("is of another model");
  if (header.table_offset < kPayloadOffset || header.table_offset > size ||
      header.table_bytes > size - header.table_offset)
    return no_file_error("has its table outside of it");
  return {};
}

PackedEntry entry_of(const EntryRecord& record) {
  PackedEntry entry;
  entry.header = {record.n,
                  record.k,
                  {static_cast<WeightScheme>(record.scheme), record.group_columns, record.zero_points != 0,
                   record.group_rows},
                  record.is_gated != 0};
  entry.offset = record.offset;
  entry.bytes = record.bytes;
  entry.hash = record.hash;
  return entry;
}

bool is_sound(const EntryRecord& record, const PackedEntry& entry, uint64_t table_offset,
              const OpTable& ops) {
  return record.zero_points <= 1 && record.is_gated <= 1 && record.zero == 0 && entry.bytes > 0 &&
         entry.bytes == packed_bytes(entry.header, ops) && entry.offset >= kPayloadOffset &&
         entry.offset % kPayloadAlignment == 0 && entry.offset <= table_offset &&
         entry.bytes <= table_offset - entry.offset;
}

// Files that a writer left when it was killed: no writer is silent for so long.
void remove_abandoned(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string prefix = path.filename().string() + ".tmp.";
  for (fs::directory_iterator it(path.parent_path(), error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->path().filename().string().starts_with(prefix)) continue;
    if (fs::file_time_type::clock::now() - it->last_write_time(ignored) > std::chrono::hours(1))
      fs::remove(it->path(), ignored);
  }
}

}  // namespace

Result<std::shared_ptr<const PackedFile>> PackedFile::open(const std::string& path, const Hash128& key,
                                                           ComputeStream& stream) {
  PAGODA_TRY(MappedFile mapped, MappedFile::open(path));
  std::shared_ptr<PackedFile> file(new PackedFile(std::move(mapped)));
  PAGODA_RETURN_IF_ERROR(file->read_table(key, stream.ops()));
  for (const auto& [name, entry] : file->entries_)
    if (parallel_hash128(file->payload(entry), stream.pool()) != entry.hash)
      return no_file_error(("has damaged numbers in '" + name + "'").c_str());
  return std::shared_ptr<const PackedFile>(std::move(file));
}

Status PackedFile::read_table(const Hash128& key, const OpTable& ops) {
  const std::span<const std::byte> bytes = file_.bytes();
  FileHeader header;
  if (bytes.size() < sizeof header) return no_file_error("is cut off");
  std::memcpy(&header, bytes.data(), sizeof header);
  PAGODA_RETURN_IF_ERROR(check_header(header, bytes.size(), key));
  std::span<const std::byte> table = bytes.subspan(header.table_offset, header.table_bytes);
  if (hash128(table) != header.table_hash) return no_file_error("has a damaged table");
  for (uint64_t i = 0; i < header.num_weights; ++i) {
    EntryRecord record;
    if (table.size() < sizeof record) return no_file_error("has fewer weights than it says");
    std::memcpy(&record, table.data(), sizeof record);
    table = table.subspan(sizeof record);
    if (record.name_bytes > std::min<std::size_t>(table.size(), kNameBytesMax))
      return no_file_error("has a name that is cut off");
    std::string name(reinterpret_cast<const char*>(table.data()), record.name_bytes);
    table = table.subspan(record.name_bytes);
    const PackedEntry entry = entry_of(record);
    if (!is_sound(record, entry, header.table_offset, ops) ||
        !entries_.emplace(std::move(name), entry).second)
      return no_file_error("has a weight that cannot be");
  }
  return table.empty() ? Status() : no_file_error("has more in its table than weights");
}

std::unique_ptr<PackedWeight> PackedFile::find(const std::shared_ptr<const PackedFile>& file,
                                               const std::string& name, ComputeStream& stream) {
  auto entry = file->entries_.find(name);
  if (entry == file->entries_.end()) return nullptr;
  return adopt_packed(entry->second.header, file->payload(entry->second), file, stream);
}

PackedFileWriter::PackedFileWriter(std::string path, std::string temporary, const Hash128& key, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), key_(key), fd_(fd), end_(kPayloadOffset) {}

Result<std::unique_ptr<PackedFileWriter>> PackedFileWriter::create(const std::string& path,
                                                                   const Hash128& key) {
  static std::atomic<int> count{0};
  remove_abandoned(path);
  for (int attempt = 0; attempt < 100; ++attempt) {  // a process of another container may have our number
    const std::string temporary = fmt::format("{}.tmp.{}.{}", path, ::getpid(), count++);
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0) return std::unique_ptr<PackedFileWriter>(new PackedFileWriter(path, temporary, key, fd));
    if (errno != EEXIST) return cannot("create", temporary);
  }
  return io_error("cannot find a free name beside '" + path + "'");
}

PackedFileWriter::~PackedFileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status PackedFileWriter::write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), 64 << 20),
                                   static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (count == 0) errno = ENOSPC;
      return cannot("write", temporary_);
    }
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status PackedFileWriter::add(const std::string& name, const PackedWeight& weight, ComputeStream& stream) {
  PAGODA_CHECK(name.size() <= kNameBytesMax, "a name that can be read back");
  const PackedWeight::Header& header = weight.header();
  EntryRecord record{};
  record.n = header.n;
  record.k = header.k;
  record.offset = end_;
  record.bytes = weight.bytes();
  const std::span<const std::byte> payload = weight.payload_on_host(stream.memory(), &room_);
  record.hash = parallel_hash128(payload, stream.pool());
  record.group_rows = header.format.group_rows;
  record.group_columns = header.format.group_columns;
  record.name_bytes = static_cast<uint32_t>(name.size());
  record.scheme = static_cast<uint8_t>(header.format.scheme);
  record.zero_points = header.format.zero_points;
  record.is_gated = header.is_gated;
  PAGODA_RETURN_IF_ERROR(write(end_, payload));
  end_ = (end_ + record.bytes + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment;
  const auto bytes = bytes_of(record), text = std::as_bytes(std::span(name));
  table_.insert(table_.end(), bytes.begin(), bytes.end());
  table_.insert(table_.end(), text.begin(), text.end());
  ++num_weights_;
  return {};
}

Status PackedFileWriter::finish() {
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.byte_order = kByteOrder;
  header.key = key_;
  header.table_offset = end_;
  header.table_bytes = table_.size();
  header.num_weights = num_weights_;
  header.file_bytes = end_ + table_.size();
  header.table_hash = hash128(table_);
  header.header_hash = header_hash(header);
  PAGODA_RETURN_IF_ERROR(write(end_, table_));
  PAGODA_RETURN_IF_ERROR(write(0, bytes_of(header)));
  if (::ftruncate(fd_, static_cast<off_t>(header.file_bytes)) != 0 || ::fsync(fd_) != 0)
    return cannot("write", temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot("rename", temporary_);
  ::close(std::exchange(fd_, -1));
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {  // so that the name outlives a power cut, too
    (void)::fsync(folder_fd);
    ::close(folder_fd);
  }
  return {};
}

}  // namespace pagoda
