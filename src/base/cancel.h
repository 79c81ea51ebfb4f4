// Cancelled work: a token that another thread cancels, and the question, asked within loops
// that may be long, whether the work of this thread is among it. The scope says for whom a thread works, so
// that loops far below need not be handed a token.
#pragma once
#include <atomic>

namespace pagoda {

class CancelToken {
 public:
  void cancel() { is_cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const { return is_cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> is_cancelled_{false};
};

// While it lives this thread works for `token`, and for those of the scopes around it. The token outlives it.
class CancelScope {
 public:
  explicit CancelScope(const CancelToken* token) : token_(token), outer_(innermost_) { innermost_ = this; }
  ~CancelScope() { innermost_ = outer_; }
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  static bool any_cancelled() {
    for (const CancelScope* scope = innermost_; scope != nullptr; scope = scope->outer_)
      if (scope->token_->is_cancelled()) return true;
    return false;
  }

 private:
  const CancelToken* const token_;
  CancelScope* const outer_;
  static inline thread_local CancelScope* innermost_ = nullptr;
};

// False outside of any scope. A few loads: cheap enough for every few microseconds of work.
inline bool is_work_cancelled() {
  return CancelScope::any_cancelled();
}

}  // namespace pagoda
