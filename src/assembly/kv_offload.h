// KV offloading from flags: its sizes, and a folder on disk in which blocks of the same model are found
// again.
#pragma once
#include <span>
#include <vector>

#include "assembly/engine_args.h"
#include "base/cpu_plan.h"
#include "contract/engine_config.h"
#include "contract/kv_group.h"
#include "contract/kv_offload.h"
#include "kv_offload/offload_worker.h"
#include "model/config.h"
#include "ops/matmul.h"
#include "weights/checkpoint.h"

namespace pagoda {

// All that decides what the bytes of a cached block are, beside its tokens.
struct KvIdentity {
  std::string config;                      // config.json with its overrides, dtypes, formats, seed of dummies
  const Checkpoint* checkpoint = nullptr;  // null: dummy weights
  const ModelConfig* model = nullptr;
  std::vector<WeightFormat> formats;  // of the weights
  DType kv_dtype = DType::kF32;
  int32_t block_size = 16;
};

struct OpenedOffload {
  OffloadConfig config;            // no slots: no offloading
  std::vector<OffloadFile> files;  // of earlier processes, for the KvManager
};

// notes_folder: where the content of the weights is noted; empty: in the offload folder. Sets the sizes and,
// with a folder and without a seed, the seed in `cache`. Errors: sizes too small for a block; those of
// OffloadDisk::open.
Result<OpenedOffload> open_offload(const KvOffloadArgs& wanted, const std::string& notes_folder,
                                   const KvIdentity& identity, std::span<const KvGroupSpec> groups,
                                   const CpuPlan& cpus, PrefixCacheConfig* cache);

}  // namespace pagoda
