// The share of hits among the last requests that asked a cache, as vLLM's log line has it: old requests stop
// to count once kRequestsMax newer ones have asked. Private to the engine room.
#pragma once
#include <cstdint>
#include <deque>

namespace pagoda {

class RecentHitRate {
 public:
  void add(uint64_t requests, uint64_t queries, uint64_t hits) {
    if (requests == 0 && queries == 0 && hits == 0) return;
    if (requests == 0 && !updates_.empty()) {  // more of what an earlier one has asked for
      Update& last = updates_.back();
      last = {last.requests, last.queries + queries, last.hits + hits};
    } else {
      updates_.push_back({requests, queries, hits});
    }
    sum_ = {sum_.requests + requests, sum_.queries + queries, sum_.hits + hits};
    while (updates_.size() > 1 && sum_.requests > kRequestsMax) {
      const Update& oldest = updates_.front();
      sum_ = {sum_.requests - oldest.requests, sum_.queries - oldest.queries, sum_.hits - oldest.hits};
      updates_.pop_front();
    }
  }
  double value() const {
    return sum_.queries == 0 ? 0 : static_cast<double>(sum_.hits) / static_cast<double>(sum_.queries);
  }

 private:
  static constexpr uint64_t kRequestsMax = 1000;
  struct Update {
    uint64_t requests = 0, queries = 0, hits = 0;
  };
  std::deque<Update> updates_;
  Update sum_;
};

}  // namespace pagoda
