#include <chrono>
#include <utility>

#include "engine/admission_limiter.h"
#include "engine/engine.h"

namespace pagoda {

Engine::QueueTicket::QueueTicket(std::shared_ptr<AdmissionLimiter> limiter, std::shared_ptr<QueueClaim> claim,
                                 int32_t choices)
    : limiter_(std::move(limiter)), claim_(std::move(claim)), choices_(choices) {}
Engine::QueueTicket::QueueTicket(QueueTicket&& other) noexcept {
  *this = std::move(other);
}
Engine::QueueTicket& Engine::QueueTicket::operator=(QueueTicket&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  limiter_ = std::move(other.limiter_);
  claim_ = std::move(other.claim_);
  choices_ = other.choices_;
  tokens_ = other.tokens_;
  served_ = other.served_;
  begun_ = other.begun_;
  return *this;
}
Engine::QueueTicket::~QueueTicket() {
  give_back();
}
Engine::QueueTicket Engine::QueueTicket::split(int32_t choices, int64_t tokens) {
  PAGODA_CHECK(choices <= choices_ && tokens <= tokens_, "a ticket is split into what it has");
  QueueTicket part(limiter_, claim_, choices);
  part.tokens_ = tokens;
  choices_ -= choices;
  tokens_ -= tokens;
  return part;
}
void Engine::QueueTicket::begin() {
  if (limiter_ != nullptr && !begun_) limiter_->begin(claim_.get(), choices_);
  begun_ = true;
}
void Engine::QueueTicket::give_back() {
  if (limiter_ != nullptr)
    limiter_->give_back(claim_.get(), choices_, tokens_, !begun_, served_, std::chrono::steady_clock::now());
  limiter_.reset();
  claim_.reset();
}

}  // namespace pagoda
