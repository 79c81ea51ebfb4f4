#include "base/memory_budget.h"

#include <utility>

namespace pagoda {
namespace {
// What goes through between two calls of on_burst_over.
constexpr std::size_t kBurstBytes = std::size_t{16} << 20;
}  // namespace

void MemoryBudget::configure(std::size_t bytes_max, std::function<void()> on_burst_over) {
  bytes_max_ = bytes_max;
  on_burst_over_ = std::move(on_burst_over);
}

bool MemoryBudget::take(std::size_t bytes) {
  std::size_t before = used_.load();
  do {
    if (bytes > bytes_max_ || before > bytes_max_ - bytes) return false;
  } while (!used_.compare_exchange_weak(before, before + bytes));
  burst_ += bytes;
  return true;
}

void MemoryBudget::give_back(std::size_t bytes) {
  if (bytes == 0 || used_.fetch_sub(bytes) != bytes) return;
  if (burst_ < kBurstBytes) return;
  burst_ = 0;
  if (on_burst_over_) on_burst_over_();
}

Status MemoryShare::grow_to(std::size_t bytes) {
  if (bytes <= MemoryBudget::kFreeBytes || bytes <= charged_) return {};
  if (bytes > budget_->bytes_max_)
    return {StatusCode::kTooLarge,
            "The request takes more memory than the server has for what all requests bring "
            "(--max-body-memory): send less in one request."};
  if (!budget_->take(bytes - charged_))
    return {StatusCode::kExhausted, "The server has too many large requests just now: try again later."};
  charged_ = bytes;
  return {};
}

Status MemoryShare::hold(std::size_t bytes) {
  const std::size_t charge = bytes <= MemoryBudget::kFreeBytes ? 0 : bytes;
  if (charge > charged_) return grow_to(charge);
  budget_->give_back(charged_ - charge);
  charged_ = charge;
  return {};
}

}  // namespace pagoda
