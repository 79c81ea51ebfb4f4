#pragma once
#include "base/cancel.h"
#include "base/status.h"
#include "contract/tenant.h"
#include "contract/types.h"
#include "frontend/answer_errors.h"
#include "frontend/deadlines.h"

namespace pagoda {

// Work on text without the engine (tokenizing for its own sake), on the text pool and in a place of the
// queue. Either run() is called, or fail(), or fail() while it runs: the first answer counts.
class TextJob : public Expirable {
 public:
  TextJob(const Tenant& tenant, Time deadline) : tenant_(tenant), deadline_(deadline) {}
  // Its answer is no longer wanted. Any thread.
  void cancel() { unwanted_.cancel(); }
  // It is not to be done, or not to its end. Any thread. The answer comes first: work that is cancelled may
  // return with half of its result.
  void give_up(const Status& why) {
    fail(why);
    cancel();
  }
  void expire() final { give_up(no_time_for_answer()); }
  const CancelToken* unwanted() const { return &unwanted_; }
  const Tenant& tenant() const { return tenant_; }
  Time deadline() const { return deadline_; }

  virtual void run() = 0;

 protected:
  virtual void fail(const Status& why) = 0;

 private:
  const Tenant tenant_;
  const Time deadline_;
  CancelToken unwanted_;
};

}  // namespace pagoda
