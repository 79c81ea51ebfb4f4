// Holds threads until it is opened, and how long tests wait for what must come.
#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace pagoda::testing {

// Generous: only a hang reaches it.
inline constexpr std::chrono::seconds kPatience{60};

class Gate {
 public:
  void enter() {
    std::unique_lock lock(mutex_);
    ++num_entered_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  // False: so many have not come.
  bool wait_entered(int how_many = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return num_entered_ >= how_many; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int num_entered_ = 0;
  bool open_ = false;
};

}  // namespace pagoda::testing
