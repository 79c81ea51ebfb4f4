#include "engine/control.h"

namespace pagoda {

void Control::take(Command&& command, Time now, std::vector<TokenEvent>* out) {
  using enum Command::Kind;
  Status status;
  switch (command.kind) {
    case kPause:
      return pause(std::move(command), now, out);
    case kResume:
      status = resume();
      break;
    case kSleep:
      status = sleep(command.level);
      break;
    case kWakeUp:
      status = wake_up(command);
      break;
    case kResetPrefixCache:
      kv_->reset_prefix_cache();
      break;
  }
  done_.emplace_back(std::move(command.done), std::move(status));
}

void Control::pause(Command&& command, Time now, std::vector<TokenEvent>* out) {
  paused_ = true;
  scheduler_->set_admission(false);
  if (command.mode == PauseMode::kAbort) scheduler_->abort_all(FinishReason::kAbort, {}, now, out);
  frozen_ = command.mode == PauseMode::kKeep;
  if (command.mode == PauseMode::kWait) return waiting_.push_back(std::move(command));
  if (command.clear_cache) kv_->reset_prefix_cache();
  done_.emplace_back(std::move(command.done), Status::ok_status());
}

Status Control::resume() {
  for (Command& command : waiting_)
    done_.emplace_back(std::move(command.done),
                       Status(StatusCode::kUnavailable, "the engine was resumed before all had ended"));
  waiting_.clear();
  paused_ = frozen_ = false;
  scheduler_->set_admission(!is_sleeping());
  return Status::ok_status();
}

Status Control::sleep(int level) {
  if (is_sleeping()) return Status::ok_status();
  scheduler_->preempt_all();
  scheduler_->set_admission(false);
  kv_->reset_prefix_cache();
  if (Status status = runner_->sleep(level); !status.ok()) {
    scheduler_->set_admission(!is_paused());
    return status;
  }
  weights_awake_ = kv_awake_ = false;
  show_sleep(level);
  return Status::ok_status();
}

Status Control::wake_up(const Command& command) {
  if (!is_sleeping()) return Status::ok_status();
  weights_awake_ |= command.weights;
  kv_awake_ |= command.kv_cache;
  if (!weights_awake_ || !kv_awake_) return Status::ok_status();
  PAGODA_RETURN_IF_ERROR(runner_->wake());
  show_sleep(0);
  scheduler_->set_admission(!is_paused());
  return Status::ok_status();
}

void Control::show_sleep(int level) {
  sleep_level_ = level;
  metrics_->sleep_awake.set(level == 0);
  metrics_->sleep_weights_offloaded.set(level == 1);
  metrics_->sleep_discard_all.set(level == 2);
}

void Control::answer(bool drained) {
  if (!waiting_.empty() && drained && none_run()) {
    for (Command& command : waiting_) {
      if (command.clear_cache) kv_->reset_prefix_cache();
      done_.emplace_back(std::move(command.done), Status::ok_status());
    }
    waiting_.clear();
  }
  for (auto& [done, status] : done_) done(status);
  done_.clear();
}

void Control::end(const Status& why) {
  for (Command& command : waiting_) done_.emplace_back(std::move(command.done), why);
  waiting_.clear();
  answer(false);
}

}  // namespace pagoda
