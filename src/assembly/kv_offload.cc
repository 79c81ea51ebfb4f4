#include "assembly/kv_offload.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/env.h"
#include "base/log.h"
#include "kv_offload/offload_file.h"
#include "ops/kv_layout_key.h"
#include "packed/packed_store.h"
#include "runner/kv_storage.h"
#include "runner/make_runner.h"
#include "weights/content_key.h"

namespace pagoda {
namespace {

constexpr double kGiB = 1024. * 1024 * 1024;

// Weights by content: they may have moved or been copied.
Hash128 fingerprint(const KvIdentity& identity, std::span<const KvGroupSpec> groups,
                    const std::string& notes_folder, const CpuPlan& cpus) {
  const std::unique_ptr<ComputeStream> stream = make_compute_stream(cpus);
  Hash128 content;
  if (identity.checkpoint != nullptr)
    content = content_key(*identity.checkpoint, notes_folder, stream->pool());
  std::string text = fmt::format("pagoda kv 2|keys {}|{}|{}|{}|{} {}|{}", kBlockKeyVersion, identity.config,
                                 content.hex(), stream->kernels_name(), dtype_name(identity.kv_dtype),
                                 identity.block_size, packed_key(content, identity.formats, *stream).hex());
  for (const KvGroupSpec& group : groups)
    text += fmt::format("|{} {} {} {}", static_cast<int>(group.kind), group.window, group.block_bytes,
                        fmt::join(group.layers, ","));
  KvLayout before;
  for (const KvLayout& layout : kv_layouts(*identity.model, identity.kv_dtype, identity.block_size)) {
    if (layout != before) text += '|' + kv_layout_key(layout, *stream).hex();
    before = layout;
  }
  return hash128(text);
}

// How many blocks; at least one must fit.
Result<int64_t> blocks_in(double gib, uint64_t block_bytes, int64_t most, const char* flag) {
  const double blocks = std::floor(gib * kGiB / static_cast<double>(block_bytes));
  if (blocks < 1)
    return invalid_argument(
        fmt::format("--{} {} is less than one block, which takes {} bytes", flag, gib, block_bytes), flag);
  return static_cast<int64_t>(std::min(blocks, static_cast<double>(most)));
}

}  // namespace

Result<OpenedOffload> open_offload(const KvOffloadArgs& wanted, const std::string& notes_folder,
                                   const KvIdentity& identity, std::span<const KvGroupSpec> groups,
                                   const CpuPlan& cpus, PrefixCacheConfig* cache) {
  OpenedOffload offload;
  if (wanted.memory_gib <= 0) return offload;
  const uint64_t slot_bytes = groups[0].block_bytes;
  PAGODA_TRY(int64_t num_slots, blocks_in(wanted.memory_gib, slot_bytes, INT32_MAX, "kv-offloading-size"));
  cache->offload_slots = offload.config.num_slots = static_cast<int32_t>(num_slots);
  log_info("KV offloading: {} blocks of {} tokens in {:.2f} GiB of memory", num_slots, identity.block_size,
           static_cast<double>(num_slots) * static_cast<double>(slot_bytes) / kGiB);
  const uint64_t bytes = static_cast<uint64_t>(num_slots) * slot_bytes, available = available_memory_bytes();
  if (bytes > available)
    log_warning("--kv-offloading-size: only {:.2f} GiB of memory are free now, for the KV cache as well.",
                static_cast<double>(available) / kGiB);
  if (wanted.path.empty()) return offload;

  constexpr int64_t kMostFiles = 1 << 22;  // each is remembered
  const double disk_gib = wanted.disk_gib > 0 ? wanted.disk_gib : 4 * wanted.memory_gib;
  PAGODA_TRY(cache->offload_disk_slots,
             blocks_in(disk_gib, offload_file_bytes(slot_bytes), kMostFiles, "kv-offloading-disk-size"));
  PAGODA_RETURN_IF_ERROR(make_private_folder(wanted.path).with_context("--kv-offloading-path"));
  OffloadDiskConfig config{.path = wanted.path, .max_files = cache->offload_disk_slots};
  config.fingerprint = fingerprint(identity, groups, notes_folder.empty() ? wanted.path : notes_folder, cpus);
  config.page_bytes = slot_bytes;
  config.num_groups = static_cast<int32_t>(groups.size());
  CpuBinding off_the_compute_cores(cpus.spare);
  Result<std::unique_ptr<OffloadDisk>> disk = OffloadDisk::open(config);
  if (!disk.ok()) return std::move(disk.status()).with_context("--kv-offloading-path");
  offload.config.disk = *std::move(disk);
  if (cache->hash_seed.empty()) cache->hash_seed = offload.config.disk->seed();
  const std::span<const OffloadFile> files = offload.config.disk->files();
  offload.files.assign(files.begin(), files.end());
  log_info("KV offloading: {} blocks found in '{}', which may hold {}", files.size(), wanted.path,
           cache->offload_disk_slots);
  return offload;
}

}  // namespace pagoda
