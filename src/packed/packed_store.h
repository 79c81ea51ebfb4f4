// Keeps packed weights in a folder from one start to the next: what is there is mapped, what is not is
// written while the model is loaded. It never stands in the way: what cannot be read or written is logged,
// and the weights are packed as if there were no folder.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "base/hash.h"
#include "ops/matmul.h"
#include "packed/packed_file.h"

namespace pagoda {

// What one file of the folder holds: the weights of this checkpoint in these formats, as this program packs
// them. The packing of a small known matrix is part of it, so that a program that packs in another way uses
// another file.
Hash128 packed_key(const Hash128& content, std::span<const WeightFormat> formats, ComputeStream& stream);

class PackedStore {
 public:
  // `copy`: reads the weights into memory of the process, each part by the thread that will use it, where one
  // mapped file would lie on one of several NUMA nodes.
  PackedStore(const std::string& folder, const Hash128& key, bool copy, ComputeStream& stream);

  // The weight of this name, if the folder has it with this header; else nullptr: pack it and add() it.
  std::unique_ptr<PackedWeight> find(const std::string& name, const PackedWeight::Header& header);
  void add(const std::string& name, const PackedWeight& weight);
  // All weights were found or added: keeps what is new. Logs what happened.
  void finish();

 private:
  void give_up(const Status& status);

  const std::string path_;
  const bool copy_;
  ComputeStream& stream_;
  std::shared_ptr<const PackedFile> file_;    // found
  std::unique_ptr<PackedFileWriter> writer_;  // not found; null: nor to be written
};

}  // namespace pagoda
