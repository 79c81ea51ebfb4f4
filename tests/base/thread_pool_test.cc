#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/log.h"

namespace pagoda {
namespace {

// Spin budgets: asleep at once, the usual, and long enough to be always awake.
const int kSpins[] = {0, 20, 2000};

TEST(ComputePool, EveryWorkerRunsEveryJobOnce) {
  for (int threads = 1; threads <= 4; ++threads)
    for (int spin : kSpins) {
      ComputePool pool(threads, spin);
      ASSERT_EQ(pool.num_threads(), threads);
      std::vector<int> calls(static_cast<std::size_t>(threads));  // plain: run() must order them
      const int jobs = spin > 100 ? 10 : 500;  // more threads than cores, all spinning, get through few
      for (int job = 1; job <= jobs; ++job) {
        pool.run([&](int worker) { ++calls[static_cast<std::size_t>(worker)]; });
        for (int count : calls) ASSERT_EQ(count, job) << threads << " threads, spin " << spin;
      }
    }
}

TEST(ComputePool, TheCallerIsWorkerZeroAndTheOthersAreOthers) {
  ComputePool pool(3);
  std::vector<std::thread::id> ids(3);
  pool.run([&](int worker) { ids[static_cast<std::size_t>(worker)] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[0]);
  EXPECT_NE(ids[1], ids[2]);
}

TEST(ComputePool, WorkersAndCallerWakeFromTheirSleep) {
  ComputePool pool(3, 0);
  for (int round = 0; round < 20; ++round) {
    const int slow = round % 3;  // now the caller waits asleep, now the workers do
    std::atomic<int> calls{0};
    pool.run([&](int worker) {
      if (worker == slow) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      calls.fetch_add(1);
    });
    ASSERT_EQ(calls.load(), 3);
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(ComputePool, WhatOneJobWritesTheNextOneReads) {
  ComputePool pool(4, 1);
  std::vector<uint64_t> values(4, 1), next(4);
  for (int job = 0; job < 300; ++job) {
    pool.run([&](int worker) {
      const auto w = static_cast<std::size_t>(worker);
      next[w] = values[w] + values[(w + 1) % 4];
    });
    values.swap(next);
  }
  EXPECT_EQ(std::vector<uint64_t>(4, values[0]), values);
}

TEST(ComputePool, ParallelForCoversEveryIndexOnceInWholeGrains) {
  for (int threads = 1; threads <= 4; ++threads) {
    ComputePool pool(threads);
    for (int64_t count : {0, 1, 2, 3, 5, 7, 16, 17, 63, 64, 65, 101, 1000})
      for (int64_t grain : {0, 1, 2, 3, 16, 64, 5000}) {
        std::vector<int> seen(static_cast<std::size_t>(count));
        std::atomic<int> ranges{0};
        std::atomic<bool> aligned{true};
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          ranges.fetch_add(1);
          const int64_t step = std::max<int64_t>(grain, 1);
          if (begin >= end || begin % step != 0 || (end % step != 0 && end != count)) aligned = false;
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        ASSERT_EQ(seen, std::vector<int>(static_cast<std::size_t>(count), 1)) << count << " by " << grain;
        ASSERT_TRUE(aligned) << count << " by " << grain;
        ASSERT_LE(ranges.load(), threads);
      }
  }
}

TEST(ComputePool, ComesAndGoesWithoutWork) {
  for (int i = 0; i < 30; ++i) ComputePool pool(1 + i % 4, i % 2 == 0 ? 0 : 50);
  ComputePool none(0);
  int calls = 0;
  none.run([&](int) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(ComputePool, TwoPoolsDoNotWakeOneAnother) {
  ComputePool a(2, 0), b(2, 0);
  std::atomic<int> of_a{0}, of_b{0};
  std::thread other([&] {
    for (int i = 0; i < 300; ++i) b.run([&](int) { of_b.fetch_add(1); });
  });
  for (int i = 0; i < 300; ++i) a.run([&](int) { of_a.fetch_add(1); });
  other.join();
  EXPECT_EQ(of_a.load(), 600);
  EXPECT_EQ(of_b.load(), 600);
}

TEST(ComputePool, WhatAJobThrowsComesOutOfRunOnceAllAreDone) {
  for (int threads : {1, 3})
    for (int thrower = 0; thrower < threads; ++thrower) {
      ComputePool pool(threads);
      std::atomic<int> done{0};
      auto job = [&](int worker) {
        if (worker == thrower) throw std::bad_alloc();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        done.fetch_add(1);
      };
      EXPECT_THROW(pool.run(job), std::bad_alloc);
      EXPECT_EQ(done.load(), threads - 1);
      EXPECT_THROW(pool.run([](int) { throw 7; }), int) << "all of them";
      pool.run([&](int) { done.fetch_add(1); });
      EXPECT_EQ(done.load(), 2 * threads - 1) << "and it goes on";
    }
}

TEST(FunctionRef, ACopyOutlivesTheReferenceItWasMadeFrom) {
  auto twice = [](int x) { return 2 * x; };
  auto copied = [&] {
    FunctionRef<int(int)> local(twice);
    FunctionRef<int(int)> copy(local);
    return copy;
  }();
  EXPECT_EQ(copied(21), 42);
}

TEST(TaskPool, RunsAllTasksOnItsThreads) {
  TaskPool many(3, 1000), one(1, 1000);
  std::atomic<int> done{0};
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(many.submit([&] { done.fetch_add(1); }).ok());
  while (done.load() < 500) std::this_thread::yield();

  std::vector<int> order;
  std::promise<void> all;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(one.submit([&order, i] { order.push_back(i); }).ok());
  ASSERT_TRUE(one.submit([&] { all.set_value(); }).ok());
  all.get_future().wait();
  std::vector<int> ascending(100);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(order, ascending);
}

TEST(TaskPool, ATaskThatThrowsTellsItsOwnerAndTheOthersGoOn) {
  const struct {
    std::function<void()> work;
    StatusCode code;
  } cases[] = {
      {[] { throw std::runtime_error("a fault"); }, StatusCode::kInternal},
      {[] { throw std::bad_alloc(); }, StatusCode::kExhausted},
      {[] { throw 7; }, StatusCode::kInternal},
  };
  set_log_level(LogLevel::kOff);
  for (const auto& [work, code] : cases) {
    std::promise<Status> told;
    std::promise<void> next;
    TaskPool pool(1, 10);
    ASSERT_TRUE(pool.submit(work,
                            [&](const Status& status) {
                              told.set_value(status);
                              throw std::runtime_error("and so does the callback");
                            })
                    .ok());
    ASSERT_TRUE(pool.submit(work).ok()) << "no callback is called";
    ASSERT_TRUE(pool.submit([&] { next.set_value(); }).ok());
    EXPECT_EQ(told.get_future().get().code(), code);
    next.get_future().wait();
  }
  set_log_level(LogLevel::kInfo);
}

TEST(TaskPool, TasksOfDifferentOnesTakeTurns) {
  TaskPool pool(1, 100);
  std::promise<void> go, all;
  std::shared_future<void> start(go.get_future());
  std::string order;
  ASSERT_TRUE(pool.submit([start] { start.wait(); }).ok());
  for (char who : std::string("aaaaabbc"))
    ASSERT_TRUE(pool.submit([&order, who] { order += who; }, {}, static_cast<uint64_t>(who)).ok());
  ASSERT_TRUE(pool.submit([&] { all.set_value(); }, {}, 'a').ok());
  go.set_value();
  all.get_future().wait();
  EXPECT_EQ(order, "abcabaaa");
}

TEST(TaskPool, WhatRunsIsCancelledAndWhatWaitsDroppedWhenItGoes) {
  std::atomic<bool> started{false}, second{false};
  auto kept = std::make_shared<int>(0);
  {
    TaskPool pool(1, 10);
    ASSERT_TRUE(pool.submit([&] {
                      started = true;
                      while (!is_work_cancelled()) std::this_thread::yield();
                    })
                    .ok());
    ASSERT_TRUE(pool.submit([&second, kept] { second = true; }).ok());
    while (!started.load()) std::this_thread::yield();
  }
  EXPECT_FALSE(second.load());
  EXPECT_EQ(kept.use_count(), 1) << "and forgotten";
  EXPECT_FALSE(is_work_cancelled());
}

TEST(TaskPool, WhatGoesWithADroppedTaskMaySubmitAnother) {
  struct Successor {
    TaskPool* pool;
    Status* answer;
    ~Successor() {
      *answer = pool->submit([] {}, {}, 7);
    }
  };
  Status answers[3];
  {
    TaskPool pool(1, 10);
    std::atomic<bool> started{false};
    ASSERT_TRUE(pool.submit([&] {
                      started = true;
                      while (!is_work_cancelled()) std::this_thread::yield();
                    })
                    .ok());
    for (uint64_t turn = 0; turn < 3; ++turn) {
      auto kept = std::shared_ptr<Successor>(new Successor{&pool, &answers[turn]});
      ASSERT_TRUE(pool.submit([kept] {}, {}, turn).ok());
    }
    while (!started.load()) std::this_thread::yield();
  }
  for (const Status& answer : answers) EXPECT_EQ(answer.code(), StatusCode::kUnavailable);
}

TEST(TaskPool, AFullQueueIsAnAnswer) {
  TaskPool pool(1, 2);
  std::promise<void> started, release;
  std::shared_future<void> go(release.get_future());
  ASSERT_TRUE(pool.submit([&started, go] {
                    started.set_value();
                    go.wait();
                  })
                  .ok());
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([] {}).ok());
  EXPECT_TRUE(pool.submit([] {}).ok());
  Status full = pool.submit([] {});
  EXPECT_EQ(full.code(), StatusCode::kExhausted);
  EXPECT_GT(full.retry_after_ms(), 0);
  release.set_value();
}

}  // namespace
}  // namespace pagoda
