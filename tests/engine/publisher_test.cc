#include "engine/publisher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace pagoda {
namespace {

class Sink : public EventSink {
 public:
  explicit Sink(std::atomic<int>* alive) : alive_(alive) { ++*alive_; }
  ~Sink() override { --*alive_; }
  void on_event(TokenEvent&& event) override {
    std::unique_lock lock(mutex);
    open_changed.wait(lock, [this] { return open; });
    seen.push_back(event.counts.num_output);
  }
  std::mutex mutex;
  std::condition_variable open_changed;
  bool open = true;
  std::vector<int32_t> seen;
  void set_open(bool value) {
    std::lock_guard lock(mutex);
    open = value;
    open_changed.notify_all();
  }

 private:
  std::atomic<int>* alive_;
};

TokenEvent numbered(int32_t number) {
  TokenEvent event;
  event.counts.num_output = number;
  return event;
}

TEST(Publisher, KeepsOrderAndLetsGoAfterTheLastEvent) {
  constexpr int kSteps = 500, kSinks = 8;
  std::atomic<int> alive{0}, released{0};
  std::vector<std::shared_ptr<Sink>> sinks;
  for (int i = 0; i < kSinks; ++i) sinks.push_back(std::make_shared<Sink>(&alive));
  {
    Publisher publisher([&](int64_t count) { released += static_cast<int>(count); });
    Publisher::Batch batch;
    for (int step = 0; step < kSteps; ++step) {
      for (auto& sink : sinks) batch.add(numbered(step), sink.get());
      if (step + 1 == kSteps)
        for (auto& sink : sinks) batch.finished.push_back({sink, {}, 0});
      publisher.hand_over(&batch);
      EXPECT_TRUE(batch.events.empty() && batch.sinks.empty() && batch.finished.empty());
    }
  }  // delivers what there is
  EXPECT_EQ(released, kSinks);
  for (auto& sink : sinks) {
    ASSERT_EQ(sink->seen.size(), static_cast<std::size_t>(kSteps));
    for (int step = 0; step < kSteps; ++step) EXPECT_EQ(sink->seen[static_cast<std::size_t>(step)], step);
    EXPECT_EQ(sink.use_count(), 1);
  }
  sinks.clear();
  EXPECT_EQ(alive, 0);
}

TEST(Publisher, WhoeverBringsTooMuchWaits) {
  std::atomic<int> alive{0}, handed_over{0};
  auto sink = std::make_shared<Sink>(&alive);
  sink->set_open(false);
  Publisher publisher([](int64_t) {});
  std::thread engine([&] {
    Publisher::Batch batch;
    for (int step = 0; step < 10; ++step) {
      batch.add(numbered(step), sink.get());
      publisher.hand_over(&batch);
      ++handed_over;
    }
  });
  while (handed_over < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(handed_over, 2) << "one with the sink, one that lies ready";
  sink->set_open(true);
  engine.join();
  EXPECT_EQ(handed_over, 10);
}

}  // namespace
}  // namespace pagoda
