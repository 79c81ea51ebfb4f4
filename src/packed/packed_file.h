// A file of packed weights: mapped and used as it lies there.
//
//   header   at 0: magic, version, byte order, key, where the table is, hashes
//   payloads from 2 MB on, each at a multiple of 4 KB
//   table    behind them: name, header and hash of every payload
//
// Write access to the file decides what the model computes, as with the checkpoint itself: hashes find
// damage, not forgery. But no content makes a reader touch memory that it should not.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/mmap.h"
#include "base/status.h"
#include "ops/matmul.h"

namespace pagoda {

struct PackedEntry {
  PackedWeight::Header header;
  uint64_t offset = 0, bytes = 0;
  Hash128 hash;  // parallel_hash128 of the payload
};

class PackedFile {
 public:
  // Reads and checks all of it. Errors: kNotFound; kIo; kInvalidArgument saying what is wrong: another kind
  // of file, version or key, torn, damaged.
  static Result<std::shared_ptr<const PackedFile>> open(const std::string& path, const Hash128& key,
                                                        ComputeStream& stream);
  // The weight of this name, on the CPU in the file's own pages, which it keeps mapped; nullptr: none.
  static std::unique_ptr<PackedWeight> find(const std::shared_ptr<const PackedFile>& file,
                                            const std::string& name, ComputeStream& stream);
  std::size_t bytes() const { return file_.bytes().size(); }
  bool keep_resident() const { return file_.keep_resident(); }

 private:
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}
  Status read_table(const Hash128& key, const OpTable& ops);
  std::span<const std::byte> payload(const PackedEntry& entry) const {
    return file_.bytes().subspan(entry.offset, entry.bytes);
  }

  MappedFile file_;
  std::map<std::string, PackedEntry> entries_;
};

// Writes beside the final name and renames when all is on the disk, so that a reader sees all or nothing, and
// writers do not disturb one another. What is not finished is removed.
class PackedFileWriter {
 public:
  static Result<std::unique_ptr<PackedFileWriter>> create(const std::string& path, const Hash128& key);
  ~PackedFileWriter();
  PackedFileWriter(const PackedFileWriter&) = delete;
  PackedFileWriter& operator=(const PackedFileWriter&) = delete;

  // Error kIo: no room on the disk, say. Nothing more can be added then.
  Status add(const std::string& name, const PackedWeight& weight, ComputeStream& stream);
  Status finish();
  uint64_t bytes() const { return end_; }

 private:
  PackedFileWriter(std::string path, std::string temporary, const Hash128& key, int fd);
  Status write(uint64_t offset, std::span<const std::byte> bytes);

  const std::string path_, temporary_;
  const Hash128 key_;
  int fd_;
  uint64_t end_;
  std::vector<std::byte> table_;
  Buffer room_;  // of a payload, where the host cannot read it in place
  uint64_t num_weights_ = 0;
};

}  // namespace pagoda
