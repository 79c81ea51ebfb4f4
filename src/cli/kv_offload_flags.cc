#include "cli/kv_offload_flags.h"

#include "cli/flag_checks.h"

namespace pagoda {
namespace {

constexpr const char *kSize = "kv-offloading-size", *kBackend = "kv-offloading-backend",
                     *kPath = "kv-offloading-path", *kDiskSize = "kv-offloading-disk-size";

constexpr double kMostGib = 1 << 20;

}  // namespace

Status read_kv_offload(const FlagValues& flags, CacheArgs* args) {
  KvOffloadArgs& offload = args->offload;
  const std::string backend = flags.text(kBackend, "native");
  if (backend == "lmcache")
    return invalid_argument(
        "--kv-offloading-backend lmcache: LMCache is a Python library, which this server does not run; "
        "native "
        "keeps evicted blocks in memory (--kv-offloading-size) and on disk (--kv-offloading-path)",
        kBackend);
  const bool wanted = flags.given(kSize) && flags.real(kSize, 0) != 0;
  if (!wanted) {
    for (const char* name : {kPath, kDiskSize})
      if (flags.given(name))
        return invalid_argument("--" + std::string(name) +
                                    " needs --kv-offloading-size: blocks pass through memory on their way to "
                                    "disk and back",
                                name);
    return {};
  }
  PAGODA_TRY(offload.memory_gib, real_above(flags, kSize, 0, 0, kMostGib));
  if (flags.given(kPath) && offload.path.empty())
    return invalid_argument("--kv-offloading-path must name a folder", kPath);
  if (flags.given(kDiskSize)) {
    if (offload.path.empty())
      return invalid_argument("--kv-offloading-disk-size needs --kv-offloading-path", kDiskSize);
    PAGODA_TRY(offload.disk_gib, real_above(flags, kDiskSize, 0, 0, kMostGib));
  }
  if (!args->prefix_cache.enabled)
    return invalid_argument(
        "--kv-offloading-size keeps blocks of the prefix cache: it needs --enable-prefix-caching", kSize);
  if (is_xxhash(args->prefix_cache.hash_algo))
    return invalid_argument(
        "--kv-offloading-size finds blocks by their names alone: it needs --prefix-caching-hash-algo sha256 "
        "or sha256_cbor, whose names cannot be forged",
        "prefix-caching-hash-algo");
  return {};
}

}  // namespace pagoda
