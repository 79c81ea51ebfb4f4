// One block of the cache as a file: a header that says what it is, then the bytes. Written under another name
// and renamed, so that a file is there with all its bytes or not at all; what is read is checked in full.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "base/hash.h"
#include "base/status.h"
#include "contract/block_key.h"

namespace pagoda {

// Version of the files' format: 2 holds a page of the cache.
inline constexpr uint32_t kOffloadFormat = 2;

// What a block's file must say of itself.
struct OffloadFileId {
  Hash128 fingerprint;  // of the model and the cache's layout
  BlockKey key;
  int32_t group = 0;
};

// Only the owner may read it. Error kIo with the path; nothing is left behind then.
Status write_offload_file(const std::string& path, const OffloadFileId& name,
                          std::span<const std::byte> bytes);
// Fills `bytes`. Errors: kNotFound; kIo; kInvalidArgument, saying what is wrong with it: another kind of
// file, of another model or block, of another size, damaged. Then `bytes` may hold anything.
Status read_offload_file(const std::string& path, const OffloadFileId& name, std::span<std::byte> bytes);
uint64_t offload_file_bytes(uint64_t page_bytes);  // header included

}  // namespace pagoda
