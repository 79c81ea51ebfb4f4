#include "engine/queue_meter.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace pagoda {

// Integrates an input of one second per second (and the amounts) against a weight that falls by e every
// kMemory seconds.
void DrainRate::pass(double busy_s) {
  const double kept = std::exp(-busy_s / kMemory);
  amount_ *= kept;
  seconds_ = seconds_ * kept + kMemory * (1 - kept);
}

double DrainRate::seconds_for(double amount) const {
  constexpr double kLittle = 1e-9;  // left so long ago that it is no measure
  return amount_ > kLittle ? amount * seconds_ / amount_ : seconds_;
}

void QueueMeter::pass_time(Time now) {
  if (choices_ > 0 && now > last_) {
    const double busy_s = std::chrono::duration<double>(now - last_).count();
    choice_rate_.pass(busy_s);
    token_rate_.pass(busy_s);
  }
  last_ = std::max(last_, now);
}

int QueueMeter::retry_ms(double seconds) {
  return static_cast<int>(1000 * std::clamp(std::ceil(seconds), 1.0, 60.0));
}

QueueMeter::Answer QueueMeter::take_choices(int32_t choices, Time now) {
  std::lock_guard lock(mutex_);
  pass_time(now);
  if (choices > max_choices_ - choices_)
    return {Lack::kChoices,
            retry_ms(choice_rate_.seconds_for(choices_ + double{1} * choices - max_choices_))};
  if (max_tokens_ > 0 && tokens_ >= max_tokens_)
    return {Lack::kTokens, retry_ms(token_rate_.seconds_for(static_cast<double>(tokens_ - max_tokens_ + 1)))};
  choices_ += choices;
  return {};
}

QueueMeter::Answer QueueMeter::take_tokens(int64_t tokens, Time now) {
  std::lock_guard lock(mutex_);
  pass_time(now);
  if (max_tokens_ > 0 && tokens > max_tokens_ - tokens_)
    return {Lack::kTokens,
            retry_ms(token_rate_.seconds_for(static_cast<double>(tokens_ + tokens - max_tokens_)))};
  tokens_ += tokens;
  return {};
}

void QueueMeter::give_back(int32_t choices, int64_t tokens, bool served, Time now) {
  std::lock_guard lock(mutex_);
  pass_time(now);
  choices_ -= choices;
  tokens_ -= tokens;
  if (!served) return;
  choice_rate_.leave(choices);
  token_rate_.leave(static_cast<double>(tokens));
}

}  // namespace pagoda
