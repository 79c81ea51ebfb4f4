// Replay of traces: arrival times, lengths, and which prompts share their beginnings.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/json.h"
#include "loadgen/dataset.h"
#include "loadgen/json_lines.h"

namespace pagoda {
namespace {

constexpr int64_t kChunkMax = 1 << 20;

struct TraceRow {
  double timestamp = 0;  // in the file's unit
  int64_t input = 0, output = 0;
  std::vector<uint64_t> hashes;
};

// FNV-1a: a hash written as text becomes a seed.
uint64_t seed_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

const Value* either(const Value& line, const char* name, const char* short_name) {
  const Value* value = line.find(name);
  return value != nullptr ? value : line.find(short_name);
}

Result<int64_t> read_length(const Value& line, const char* name, const char* short_name) {
  const Value* value = either(line, name, short_name);
  if (value != nullptr && value->is_int() && value->as_int() >= 0 && value->as_int() <= kLengthMax)
    return value->as_int();
  return invalid_argument("`" + std::string(name) + "` (or `" + short_name +
                          "`) must be an integer from 0 to " + std::to_string(kLengthMax));
}

Result<TraceRow> read_row(const Value& line) {
  TraceRow row;
  const Value* time = either(line, "timestamp", "ts");
  if (time == nullptr || !time->is_number() || !(time->as_double() >= 0))
    return invalid_argument("`timestamp` (or `ts`) must be a number, not negative");
  row.timestamp = time->as_double();
  PAGODA_TRY(row.input, read_length(line, "input_length", "il"));
  PAGODA_TRY(row.output, read_length(line, "output_length", "ol"));
  const Value* hashes = either(line, "hash_ids", "bh");
  if (hashes == nullptr || hashes->is_null()) return row;
  if (!hashes->is_array()) return invalid_argument("`hash_ids` (or `bh`) must be an array");
  for (const Value& hash : hashes->as_array()) {
    if (!hash.is_int() && !hash.is_string() && !hash.is_double())
      return invalid_argument("`hash_ids` (or `bh`) must hold integers or strings");
    row.hashes.push_back(seed_of(hash.is_string() ? hash.as_string() : write_json(hash)));
  }
  return row;
}

// The largest power of two for which every hash of every row stands for at least one token.
int64_t fitting_chunk_size(const std::vector<TraceRow>& rows) {
  int64_t size = kChunkMax;
  for (const TraceRow& row : rows)
    while (size > 1 && (std::ssize(row.hashes) - 1) * size >= row.input && !row.hashes.empty()) size /= 2;
  return size;
}

int64_t scaled(int64_t length, double scale) {
  double product = std::round(static_cast<double>(length) * scale);
  return static_cast<int64_t>(std::clamp(product, 1.0, static_cast<double>(kLengthMax)));
}

}  // namespace

Result<std::vector<BenchPrompt>> trace_prompts(const std::string& content, const DatasetOptions& options,
                                               const SyntheticText& text) {
  std::vector<TraceRow> rows;
  Status status = for_each_json_line(content, [&](const Value& line) -> Status {
    if (std::ssize(rows) >= options.num_prompts) return {};
    PAGODA_TRY(TraceRow row, read_row(line));
    rows.push_back(std::move(row));
    return {};
  });
  if (!status.ok()) return status;
  std::stable_sort(rows.begin(), rows.end(),
                   [](const TraceRow& a, const TraceRow& b) { return a.timestamp < b.timestamp; });
  int64_t chunk =
      options.trace_chunk_hash_size > 0 ? options.trace_chunk_hash_size : fitting_chunk_size(rows);
  chunk = scaled(chunk, options.trace_length_scale);
  SplitMix64 rng(options.seed);
  std::vector<BenchPrompt> prompts;
  int64_t total = 0;
  for (const TraceRow& row : rows)
    PAGODA_RETURN_IF_ERROR(add_length(scaled(row.input, options.trace_length_scale), &total));
  for (const TraceRow& row : rows) {
    int64_t length = scaled(row.input, options.trace_length_scale);
    std::vector<int32_t> units;
    for (uint64_t hash : row.hashes) {
      SplitMix64 shared(hash ^ options.seed);
      std::vector<int32_t> piece = text.draw(std::min(chunk, length - std::ssize(units)), &shared);
      units.insert(units.end(), piece.begin(), piece.end());
    }
    std::vector<int32_t> own = text.draw(length - std::ssize(units), &rng);
    units.insert(units.end(), own.begin(), own.end());
    prompts.push_back(text.make(std::move(units), &rng));
    prompts.back().output_len = scaled(row.output, options.trace_length_scale);
    prompts.back().timestamp_s =
        (row.timestamp - rows.front().timestamp) * options.trace_sec_multiplier * options.trace_time_scale;
  }
  return prompts;
}

}  // namespace pagoda
