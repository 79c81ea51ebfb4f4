// Ends what waits for the text pool when its deadline passes, which the pool itself cannot while other work
// keeps its threads busy. (In the engine the scheduler does.) Thread-safe; a thread of its own, which sleeps
// until the next deadline and never does the work of a request.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "contract/types.h"

namespace pagoda {

class Expirable {
 public:
  virtual ~Expirable() = default;
  // Its deadline has passed. Harmless when it has ended, or has gone on to the engine. Must be quick.
  virtual void expire() = 0;
};

class Deadlines {
 public:
  Deadlines();
  ~Deadlines();
  void add(Time deadline, std::weak_ptr<Expirable> waiter);

 private:
  using Entry = std::pair<Time, std::weak_ptr<Expirable>>;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> entries_;  // guarded; a heap, the earliest on top
  std::size_t num_kept_ = 0;    // guarded: when what had ended was last dropped
  bool stopping_ = false;       // guarded
  std::thread thread_;
};

}  // namespace pagoda
