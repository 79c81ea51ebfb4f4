#include <chrono>
#include <utility>

#include "engine/engine.h"
#include "engine/queue_meter.h"

namespace pagoda {

Engine::Slot::Slot(std::shared_ptr<QueueMeter> meter, std::shared_ptr<QueueClaim> claim, int32_t choices)
    : meter_(std::move(meter)), claim_(std::move(claim)), choices_(choices) {}
Engine::Slot::Slot(Slot&& other) noexcept {
  *this = std::move(other);
}
Engine::Slot& Engine::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  meter_ = std::move(other.meter_);
  claim_ = std::move(other.claim_);
  choices_ = other.choices_;
  tokens_ = other.tokens_;
  served_ = other.served_;
  begun_ = other.begun_;
  return *this;
}
Engine::Slot::~Slot() {
  give_back();
}
Engine::Slot Engine::Slot::split(int32_t choices, int64_t tokens) {
  PAGODA_CHECK(choices <= choices_ && tokens <= tokens_, "a slot is split into what it has");
  Slot part(meter_, claim_, choices);
  part.tokens_ = tokens;
  choices_ -= choices;
  tokens_ -= tokens;
  return part;
}
void Engine::Slot::begin() {
  if (meter_ != nullptr && !begun_) meter_->begin(claim_.get(), choices_);
  begun_ = true;
}
void Engine::Slot::give_back() {
  if (meter_ != nullptr)
    meter_->give_back(claim_.get(), choices_, tokens_, !begun_, served_, std::chrono::steady_clock::now());
  meter_.reset();
  claim_.reset();
}

}  // namespace pagoda
