// KV events in the bytes that vLLM's subscribers read (llm-d, the production stack, Dynamo): a msgpack array
// [timestamp, [event, ...], data_parallel_rank], where an event is a map with its "type", as in vLLM since
// 0.24, or a positional array, as before.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "contract/kv_event.h"

namespace pagoda {

struct KvEventFormat {
  bool array_events = false;  // positional events, for subscribers of old
  // A block's name is the low 64 bits of its hash, the hash read as one big-endian number; else all its
  // bytes.
  bool int_hashes = true;
  int32_t hash_bytes = 32;  // of a BlockKey that are in use, from its first on; >= 8
  int32_t window = 0;       // of the cache's first group, whose blocks the events name; 0: full attention
  int32_t data_parallel_rank = 0;
};

// `timestamp`: seconds since 1970.
std::string encode_kv_events(double timestamp, std::span<const KvEvent> events, const KvEventFormat& format);

}  // namespace pagoda
