#pragma once
#include <memory>
#include <string>
#include <vector>

#include "assembly/model_files.h"
#include "decoder/decoder.h"
#include "layers/weight_formats.h"
#include "model/registry.h"

namespace pagoda {

// Everything that decides which weights a decoder holds.
struct WeightRecipe {
  ModelFiles files;
  ModelSpec spec;
  WeightFormats formats;
  int64_t max_model_len = 0;
  bool dummy = false;  // numbers drawn from `seed` instead of files
  uint64_t seed = 0;
  std::string packed_cache;  // folder, or empty: none
  bool copy_packed = false;  // several NUMA nodes: packed weights are read into memory of their own
};

// Makes the decoder at the start, and again, the same, when a sleeper wakes.
class WeightLoader {
 public:
  explicit WeightLoader(WeightRecipe recipe) : recipe_(std::move(recipe)) {}

  // `opened`: the recipe's checkpoint, if it is open already. Notes what the files are. Errors: of opening
  // and loading.
  Result<std::unique_ptr<Decoder>> load(std::unique_ptr<Checkpoint> opened, ComputeStream& stream);
  // As load() did. Errors also where a file is gone or was written since; nothing is changed then, and it may
  // be tried again.
  Result<std::unique_ptr<Decoder>> load_again(ComputeStream& stream) const;

 private:
  struct FileStamp {
    std::string path;
    uint64_t inode = 0, bytes = 0;
    int64_t seconds = 0, nanoseconds = 0;  // of the last write
    bool operator==(const FileStamp&) const = default;
  };
  static std::vector<FileStamp> stamps_of(const Checkpoint& checkpoint);
  Status check_unchanged(const Checkpoint& checkpoint) const;
  Result<std::unique_ptr<Decoder>> decode(const Checkpoint& checkpoint, ComputeStream& stream) const;

  WeightRecipe recipe_;
  std::vector<FileStamp> stamps_;
};

}  // namespace pagoda
