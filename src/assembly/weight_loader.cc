#include "assembly/weight_loader.h"

#include <sys/stat.h>

#include <optional>
#include <set>

#include "base/log.h"
#include "packed/packed_store.h"
#include "weights/content_key.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {

Result<std::unique_ptr<Decoder>> WeightLoader::load(std::unique_ptr<Checkpoint> opened,
                                                    ComputeStream& stream) {
  if (!opened && !recipe_.dummy) {
    PAGODA_TRY(opened, recipe_.files.open_checkpoint());
  }
  if (recipe_.dummy)
    opened =
        make_dummy_checkpoint(tensor_list(recipe_.spec), recipe_.formats.dtype, recipe_.seed, &stream.pool());
  stamps_ = stamps_of(*opened);
  return decode(*opened, stream);
}

Result<std::unique_ptr<Decoder>> WeightLoader::load_again(ComputeStream& stream) const {
  if (recipe_.dummy)
    return decode(*make_dummy_checkpoint(tensor_list(recipe_.spec), recipe_.formats.dtype, recipe_.seed,
                                         &stream.pool()),
                  stream);
  Result<std::unique_ptr<Checkpoint>> checkpoint = recipe_.files.open_checkpoint();
  if (!checkpoint.ok())
    return std::move(checkpoint.status()).with_context("the weights cannot be loaded again");
  PAGODA_RETURN_IF_ERROR(check_unchanged(**checkpoint));
  return decode(**checkpoint, stream);
}

Result<std::unique_ptr<Decoder>> WeightLoader::decode(const Checkpoint& checkpoint,
                                                      ComputeStream& stream) const {
  std::optional<PackedStore> store;
  if (!recipe_.packed_cache.empty() && recipe_.dummy) {
    log_warning("--packed-cache: dummy weights are not kept.");
  } else if (!recipe_.packed_cache.empty()) {
    const Hash128 content = content_key(checkpoint, recipe_.packed_cache, stream.pool());
    const UsedFormats used = recipe_.formats.used(tensor_list(recipe_.spec), &checkpoint);
    store.emplace(recipe_.packed_cache, packed_key(content, used.all(), stream), recipe_.copy_packed, stream);
  }
  const DecoderOptions options{recipe_.formats.dtype, recipe_.max_model_len, recipe_.formats.layers,
                               recipe_.formats.vocabulary, store ? &*store : nullptr};
  PAGODA_TRY(auto decoder, Decoder::load(recipe_.spec, checkpoint, options, stream));
  if (store) store->finish();
  return decoder;
}

// What is not a file (the built-in model) has none.
std::vector<WeightLoader::FileStamp> WeightLoader::stamps_of(const Checkpoint& checkpoint) {
  std::set<std::string> paths;
  for (const StoredTensor& tensor : checkpoint.stored()) paths.insert(tensor.file);
  std::vector<FileStamp> stamps;
  for (const std::string& path : paths) {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    stamps.push_back(
        {path, info.st_ino, static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec});
  }
  return stamps;
}

Status WeightLoader::check_unchanged(const Checkpoint& checkpoint) const {
  const std::vector<FileStamp> now = stamps_of(checkpoint);
  for (std::size_t i = 0; i < std::max(now.size(), stamps_.size()); ++i) {
    if (i < now.size() && i < stamps_.size() && now[i] == stamps_[i]) continue;
    return invalid_argument("'" + (i < stamps_.size() ? stamps_[i] : now[i]).path +
                            "' is not the file that was loaded at the start: put that one back, or restart "
                            "the server to serve the new one");
  }
  return {};
}

}  // namespace pagoda
