// How full the engine's queue is, and how fast it empties: bounds on the choices and on the prompt tokens
// that wait or run, and the time until there is room again, from what has left lately. Thread-safe; one short
// lock per request. Private to the engine room.
#pragma once
#include <cstdint>
#include <mutex>

#include "contract/types.h"

namespace pagoda {

// Amount per second of busy time, where what is old counts less and less (exponentially weighted, over
// about kMemory seconds). Time in which nobody was inside says nothing of the speed and does not pass.
class DrainRate {
 public:
  void pass(double busy_s);
  void leave(double amount) { amount_ += amount; }
  // Seconds until `amount` more will have left. Before anything has left: at least as long again as nothing
  // did.
  double seconds_for(double amount) const;

 private:
  static constexpr double kMemory = 20;
  double amount_ = 0, seconds_ = 0;  // both decayed, so that their quotient is a rate from the start
};

class QueueMeter {
 public:
  // max_tokens 0: no bound.
  QueueMeter(int32_t max_choices, int64_t max_tokens) : max_choices_(max_choices), max_tokens_(max_tokens) {}

  // What was lacking, if anything, and when it may be there: 1 to 60 s, which is how long a client is told to
  // wait.
  enum class Lack : uint8_t { kNothing, kChoices, kTokens };
  struct Answer {
    Lack lack = Lack::kNothing;
    int retry_after_ms = 0;
  };
  // Takes places. Also lacking where the tokens are all taken, though it is not known yet how many will be
  // wanted.
  Answer take_choices(int32_t choices, Time now);
  Answer take_tokens(int64_t tokens, Time now);
  // `served`: they were in the engine; what was given up before that says nothing of its speed.
  void give_back(int32_t choices, int64_t tokens, bool served, Time now);

  int32_t max_choices() const { return max_choices_; }
  int64_t max_tokens() const { return max_tokens_; }

 private:
  void pass_time(Time now);
  static int retry_ms(double seconds);

  const int32_t max_choices_;
  const int64_t max_tokens_;
  std::mutex mutex_;  // guards the rest
  int32_t choices_ = 0;
  int64_t tokens_ = 0;
  Time last_{};
  DrainRate choice_rate_, token_rate_;
};

}  // namespace pagoda
