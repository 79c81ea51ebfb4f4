#include "bench/replay/trace.h"

#include <algorithm>
#include <fstream>
#include <list>
#include <unordered_map>
#include <unordered_set>

#include "base/json.h"
#include "base/rng.h"

namespace pagoda {
namespace {

int64_t integer(const Value& line, const char* key) {
  const Value* value = line.find(key);
  return value != nullptr && value->is_int() ? value->as_int() : -1;
}

}  // namespace

Result<std::vector<TraceRequest>> read_trace(const std::string& path) {
  std::ifstream file(path);
  if (!file) return not_found("there is no trace at " + path);
  std::vector<TraceRequest> trace;
  std::string text;
  while (std::getline(file, text)) {
    const Result<Value> parsed = parse_json(text);
    const std::string where = path + ", line " + std::to_string(trace.size() + 1);
    if (!parsed.ok()) return invalid_argument(where + ": " + parsed.status().message());
    TraceRequest request;
    request.arrival_s = 1e-3 * static_cast<double>(integer(*parsed, "ts"));
    request.num_prompt = static_cast<int32_t>(integer(*parsed, "il"));
    request.num_output = static_cast<int32_t>(std::max<int64_t>(integer(*parsed, "ol"), 1));
    request.priority = integer(*parsed, "priority");
    request.client = static_cast<uint64_t>(integer(*parsed, "shard"));
    if (request.num_prompt <= 0 || request.arrival_s < 0)
      return invalid_argument(where + ": `ts` and `il` must be numbers of milliseconds and tokens");
    const Value* blocks = parsed->find("bh");
    for (const Value& block : blocks != nullptr ? blocks->as_array() : Array{})
      request.blocks.push_back(std::stoull(block.as_string()));
    if (request.blocks.size() > static_cast<std::size_t>(request.num_prompt / kTraceBlock))
      return invalid_argument(where + ": more blocks than `il` has room for");
    trace.push_back(std::move(request));
  }
  std::ranges::stable_sort(trace, {}, &TraceRequest::arrival_s);
  return trace;
}

std::vector<TokenId> prompt_of(const TraceRequest& request, uint64_t number) {
  std::vector<TokenId> tokens;
  tokens.reserve(static_cast<std::size_t>(request.num_prompt));
  auto fill = [&](uint64_t seed, std::size_t count) {
    SplitMix64 random(seed);
    for (std::size_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>(random.next() >> 40));
  };
  for (uint64_t block : request.blocks) fill(block, kTraceBlock);
  fill(~number * 0x9E3779B97F4A7C15ull, static_cast<std::size_t>(request.num_prompt) - tokens.size());
  return tokens;
}

TraceSharing sharing_of(const std::vector<TraceRequest>& trace, int32_t block_size) {
  TraceSharing sharing;
  std::unordered_set<uint64_t> seen;
  for (const TraceRequest& request : trace) {
    int64_t shared = 0;
    for (uint64_t block : request.blocks) {
      if (!seen.contains(block)) break;
      shared += kTraceBlock;
    }
    seen.insert(request.blocks.begin(), request.blocks.end());
    sharing.num_prompt_tokens += request.num_prompt;
    sharing.num_output_tokens += request.num_output;
    sharing.num_shared_tokens +=
        std::min<int64_t>(shared, (request.num_prompt - 1) / block_size * block_size);
  }
  return sharing;
}

int64_t shared_with_memory(const std::vector<TraceRequest>& trace, int32_t block_size, int64_t num_tokens) {
  std::list<uint64_t> unwanted_first;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> place;
  int64_t num_shared = 0;
  for (const TraceRequest& request : trace) {
    int64_t shared = 0;
    for (uint64_t block : request.blocks) {
      if (!place.contains(block)) break;
      shared += kTraceBlock;
    }
    num_shared += std::min<int64_t>(shared, (request.num_prompt - 1) / block_size * block_size);
    for (auto block = request.blocks.rbegin(); block != request.blocks.rend();
         ++block) {  // the end goes first
      if (auto it = place.find(*block); it != place.end()) unwanted_first.erase(it->second);
      place[*block] = unwanted_first.insert(unwanted_first.end(), *block);
    }
    while (static_cast<int64_t>(place.size()) * kTraceBlock > num_tokens) {
      place.erase(unwanted_first.front());
      unwanted_first.pop_front();
    }
  }
  return num_shared;
}

}  // namespace pagoda
