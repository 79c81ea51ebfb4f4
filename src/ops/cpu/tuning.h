// What the ops do in one way or another for speed alone. Every choice within the ranges below gives the same
// bits, so each machine may have its own: calibrate.h finds it. What decides an order of rounding (tiles of
// 64 keys, partitions of 512, lanes of a sum) is not here, but a constant.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// The defaults are safe everywhere: what helps one CPU and harms another is off.
struct CpuTuning {
  // Products of few rows, which read every panel of weights once.
  int64_t near_bytes = 0;      // how far ahead of where it reads a tile asks for the panel; 0: not at all
  int64_t near_past_l2 = 0;    // 1: asked for without a place in the outer caches (prefetchnta)
  int64_t stream_threads = 0;  // how many threads read; 0: all
  // Products of many rows.
  int64_t tile_rows = 6;       // rows of a register tile, at most what the instruction set has registers for
  int64_t block_rows = 128;    // rows that go through the panels together
  int64_t slice_words = 1024;  // words of k that a pass over them takes: 256 KB of a panel for 1,024
  // Attention.
  int64_t attention_ahead = 1;           // 1: the tile asks for what the next one reads
  int64_t attention_rows = 256;          // rows of a prompt that share one pass over K and V
  int64_t attention_row_chunk = 24;      // rows that pass through scores, softmax and values together
  int64_t attention_streamed_rows = 16;  // up to so many rows, all KV heads are read in one go
  int64_t attention_items = 4;           // pieces of work per thread, at least
  // Threads.
  int64_t pieces = 8;                 // of a thread's share of a product
  int64_t work_per_thread = 1 << 17;  // multiply-adds that are worth waking a thread for
  int64_t spin_us = 0;                // how long a thread spins before it sleeps; 0: as the pool was made

  bool operator==(const CpuTuning&) const = default;
};

// Its fields by the names that they have in a file.
struct TuningField {
  const char* name;
  int64_t CpuTuning::*value;
  int64_t least, most;
};
std::span<const TuningField> tuning_fields();

Value tuning_to_value(const CpuTuning& tuning);
// Fields that are not there keep their defaults. Errors kInvalidArgument: an unknown field, a value that is
// not a whole number within its range.
Result<CpuTuning> tuning_of_value(const Value& value);
// What differs from the defaults: "near_bytes 1024, tile_rows 5", or "the defaults".
std::string tuning_text(const CpuTuning& tuning);

}  // namespace pagoda
