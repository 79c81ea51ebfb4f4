#include "kv/block_lives.h"

#include <chrono>
#include <iterator>

namespace pagoda {
namespace {

double seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// Every so many blocks at places that no pattern of requests follows: SplitMix64 of a counter.
bool BlockLives::is_sampled() {
  uint64_t z = ++draws_ * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  constexpr double kTwoTo53 = 9007199254740992.0;
  return static_cast<double>(z >> 11) / kTwoTo53 < sample_;
}

void BlockLives::on_allocated(BlockId block) {
  if (is_sampled())
    lives_[block] = {now_, now_, {}};
  else
    lives_.erase(block);  // what it held before was never findable: it has no end of its own
}

void BlockLives::on_found(BlockId block) {
  auto it = lives_.find(block);
  if (it == lives_.end()) return;
  Life& life = it->second;
  life.last_found = now_;
  if (life.found.size() == kFoundMax) life.found.erase(life.found.begin());
  life.found.push_back(now_);
}

void BlockLives::on_evicted(BlockId block) {
  auto it = lives_.find(block);
  if (it == lives_.end()) return;
  const Life& life = it->second;
  BlockLife& end = ended_.emplace_back();
  end.lifetime_s = seconds(life.born, now_);
  end.idle_s = seconds(life.last_found, now_);
  for (std::size_t i = 1; i < life.found.size(); ++i)
    end.reuse_gaps_s.push_back(seconds(life.found[i - 1], life.found[i]));
  lives_.erase(it);
}

void BlockLives::take(std::vector<BlockLife>* out) {
  std::move(ended_.begin(), ended_.end(), std::back_inserter(*out));
  ended_.clear();
}

}  // namespace pagoda
