#include "frontend/deadlines.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "base/log.h"

namespace pagoda {
namespace {

struct Told : Expirable {
  std::promise<void> told;
  void expire() override { told.set_value(); }
};
struct Failing : Expirable {
  bool is_memory = false;
  void expire() override {
    if (is_memory) throw std::bad_alloc();
    throw std::runtime_error("a fault");
  }
};

TEST(Deadlines, OneThatCanNotBeToldKeepsNobodyFromHearing) {
  set_log_level(LogLevel::kOff);
  const Time now = std::chrono::steady_clock::now();
  auto first = std::make_shared<Failing>(), second = std::make_shared<Failing>();
  second->is_memory = true;
  auto last = std::make_shared<Told>();
  Deadlines deadlines;
  deadlines.add(now, first);
  deadlines.add(now, second);
  deadlines.add(now + std::chrono::milliseconds(1), last);
  deadlines.add(now, std::weak_ptr<Expirable>());
  EXPECT_EQ(last->told.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  set_log_level(LogLevel::kInfo);
}

}  // namespace
}  // namespace pagoda
