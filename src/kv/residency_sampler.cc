#include "kv/residency_sampler.h"

#include <chrono>
#include <iterator>

namespace pagoda {
namespace {

double seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// Every so many blocks at places that no pattern of requests follows: SplitMix64 of a counter.
bool ResidencySampler::is_sampled() {
  uint64_t z = ++draws_ * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  constexpr double kTwoTo53 = 9007199254740992.0;
  return static_cast<double>(z >> 11) / kTwoTo53 < sample_;
}

void ResidencySampler::on_allocated(BlockId block) {
  if (is_sampled())
    tracked_[block] = {now_, now_, {}};
  else
    tracked_.erase(block);  // what it held before was never findable: it has no end of its own
}

void ResidencySampler::on_found(BlockId block) {
  auto it = tracked_.find(block);
  if (it == tracked_.end()) return;
  Tracked& tracked = it->second;
  tracked.last_found = now_;
  if (tracked.found.size() == kFoundMax) tracked.found.erase(tracked.found.begin());
  tracked.found.push_back(now_);
}

void ResidencySampler::on_evicted(BlockId block) {
  auto it = tracked_.find(block);
  if (it == tracked_.end()) return;
  const Tracked& tracked = it->second;
  BlockResidency& end = ended_.emplace_back();
  end.lifetime_s = seconds(tracked.born, now_);
  end.idle_s = seconds(tracked.last_found, now_);
  for (std::size_t i = 1; i < tracked.found.size(); ++i)
    end.reuse_gaps_s.push_back(seconds(tracked.found[i - 1], tracked.found[i]));
  tracked_.erase(it);
}

void ResidencySampler::take(std::vector<BlockResidency>* out) {
  std::move(ended_.begin(), ended_.end(), std::back_inserter(*out));
  ended_.clear();
}

}  // namespace pagoda
