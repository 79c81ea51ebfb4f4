#include "http/body_budget.h"

#include <utility>

namespace pagoda {
namespace {
// What goes through between two calls of on_burst_over.
constexpr std::size_t kBurstBytes = std::size_t{16} << 20;
}  // namespace

void BodyBudget::configure(std::size_t bytes_max, std::function<void()> on_burst_over) {
  bytes_max_ = bytes_max;
  on_burst_over_ = std::move(on_burst_over);
}

bool BodyBudget::take(std::size_t bytes) {
  std::size_t before = used_.load();
  do {
    if (bytes > bytes_max_ || before > bytes_max_ - bytes) return false;
  } while (!used_.compare_exchange_weak(before, before + bytes));
  burst_ += bytes;
  return true;
}

void BodyBudget::give_back(std::size_t bytes) {
  if (bytes == 0 || used_.fetch_sub(bytes) != bytes) return;
  if (burst_ < kBurstBytes) return;
  burst_ = 0;
  if (on_burst_over_) on_burst_over_();
}

bool BodyShare::grow_to(std::size_t bytes) {
  if (bytes <= BodyBudget::kFreeBytes || bytes <= charged_) return true;
  if (!budget_->take(bytes - charged_)) return false;
  charged_ = bytes;
  return true;
}

}  // namespace pagoda
