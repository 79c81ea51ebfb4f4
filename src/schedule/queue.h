// A queue of sequences, linked through the sequences themselves: taking one out of the middle (a
// cancellation) is O(1) and nothing allocates. A sequence is in at most one queue.
#pragma once
#include <cstdint>

#include "schedule/sequence.h"

namespace pagoda {

class SequenceQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  int32_t size() const { return size_; }
  Sequence* front() const { return head_; }
  void push_back(Sequence* seq) { insert_before(nullptr, seq); }
  // By rank. New sequences append, preempted ones go near the front: both are O(1) amortised.
  void insert(Sequence* seq) {
    if (head_ != nullptr && seq->rank < head_->rank) return insert_before(head_, seq);
    Sequence* earlier = tail_;
    while (earlier != nullptr && seq->rank < earlier->rank) earlier = earlier->prev;
    insert_before(earlier != nullptr ? earlier->next : head_, seq);
  }
  void remove(Sequence* seq) {
    (seq->prev != nullptr ? seq->prev->next : head_) = seq->next;
    (seq->next != nullptr ? seq->next->prev : tail_) = seq->prev;
    seq->prev = seq->next = nullptr;
    --size_;
  }

 private:
  void insert_before(Sequence* later, Sequence* seq) {  // null: at the end
    Sequence* earlier = later != nullptr ? later->prev : tail_;
    seq->prev = earlier;
    seq->next = later;
    (earlier != nullptr ? earlier->next : head_) = seq;
    (later != nullptr ? later->prev : tail_) = seq;
    ++size_;
  }

  Sequence *head_ = nullptr, *tail_ = nullptr;
  int32_t size_ = 0;
};

}  // namespace pagoda
