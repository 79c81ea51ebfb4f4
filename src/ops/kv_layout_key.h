#pragma once
#include "base/hash.h"
#include "ops/attention.h"

namespace pagoda {

// Names how this program lays out a block of the cache and rounds what it stores there: the hash of a block
// of known numbers. A program that does either in another way has another key.
Hash128 kv_layout_key(const KvLayout& layout, ComputeStream& stream);

}  // namespace pagoda
