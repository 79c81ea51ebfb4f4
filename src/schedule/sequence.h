// One choice of a request as the scheduler sees it, the request they share, and what holds sequences: queues
// and rows. Private to the schedule room.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "contract/request.h"
#include "contract/token_event.h"
#include "contract/token_view.h"
#include "contract/types.h"
#include "kv/kv_manager.h"

namespace pagoda {

struct RequestState;
struct TenantShare;

// kAttached: a choice > 0 whose prompt choice 0 is computing for it; in no queue.
// kForking: it has a row and samples from choice 0's logits in a plan in flight; blocks come when that is
// committed.
enum class SequenceState : uint8_t { kAttached, kHeld, kWaiting, kForking, kRunning, kEnded };

// The lower goes before the higher. The first of all is never preempted and gets tokens in every step.
struct Rank {
  int64_t priority = 0;  // 0 for all but under the priority policy
  uint64_t order = 0;    // of arrival
  auto operator<=>(const Rank&) const = default;
};

struct Sequence {
  RequestState* request = nullptr;
  TenantShare* tenant = nullptr;  // null once it has ended
  int32_t choice = 0;
  SequenceState state = SequenceState::kAttached;
  bool last_of_request = false;  // its end was the request's
  bool begun = false;            // it has had a row
  uint8_t holds = 0;             // Hold: kHeld while there are any
  Rank rank;

  std::span<const TokenId> prompt;  // the request's
  std::vector<TokenId> output;
  SeqKv kv;
  int32_t num_cached = 0;               // prompt tokens that others had computed ...
  int32_t num_external = 0;             // ... and how many of them were loaded from offload
  int32_t num_computed = 0;             // by the plans that are committed and those in flight
  int32_t num_computed_ever = 0;        // the most that committed plans had computed: up to there it is again
  int32_t num_matched = 0;              // the most that it has found in the cache
  int32_t num_output_placeholders = 0;  // tokens that plans in flight sample: the next plan's kFromLastStep
  int32_t max_num_tokens = 0;           // prompt and output
  int32_t num_prompt_reported = 0;      // prompt tokens 1 .. this have had their log-probabilities handed out
  int32_t num_scheduled = 0;            // tokens in the plan that is being made
  uint64_t last_step = 0;               // the last plan that reads or writes its blocks
  int32_t num_preemptions = 0;
  bool stalled = false;  // it ran, but found no blocks for its next tokens

  // While it waits: how many have bypassed it, and what it lacked when it was last tried, in which plan.
  int32_t num_bypassed = 0, blocks_wanted = 0;
  uint64_t tried_step = 0;

  int32_t row = -1;
  bool row_announced = false;   // a plan has brought the row ...
  uint64_t row_step = 0;        // ... this one ...
  int32_t row_token_begin = 0;  // ... and its tokens lie there in it

  RequestTimings timings;
  Sequence *prev = nullptr, *next = nullptr;  // in a SequenceQueue

  TokenView tokens() const { return {prompt, output}; }  // that are known
  int32_t num_prompt() const { return static_cast<int32_t>(prompt.size()); }
  int32_t num_output() const { return static_cast<int32_t>(output.size()); }
  int32_t num_tokens() const { return num_prompt() + num_output(); }
  int32_t num_planned_tokens() const { return num_tokens() + num_output_placeholders; }
  // Tokens for the next plans: none once a plan in flight samples the last token that it may have.
  int32_t num_remaining() const {
    const bool ends = num_output_placeholders > 0 && num_planned_tokens() >= max_num_tokens;
    return ends ? 0 : num_planned_tokens() - num_computed;
  }
  // One token is left, whose successor is wanted now.
  bool is_decoding() const { return num_remaining() == 1; }
  inline CacheScope scope() const;
  // Makes room for what will be generated, so that appending a token never allocates: all of it or, with
  // bad_alloc, what another call goes on with.
  inline void reserve_output(int32_t max_len, int32_t block_size, std::size_t num_groups);
};

struct RequestState {
  std::unique_ptr<Request> request;
  std::vector<Sequence> choices;  // [n], never resized: sequences are pointed to
  int32_t num_live = 0;
  int32_t num_attached = 0;
  int32_t num_not_begun = 0;
  int32_t max_num_output = 0;  // over the choices that have ended

  const SamplingParams& params() const { return request->params; }
};

CacheScope Sequence::scope() const {
  const Request& asked = *request->request;
  return {asked.lora_id, asked.cache_salt_hash, asked.extra_keys};
}

void Sequence::reserve_output(int32_t max_len, int32_t block_size, std::size_t num_groups) {
  if (output.capacity() > 0) return;
  const int64_t longest = std::min<int64_t>(num_prompt() + int64_t{request->params().max_tokens}, max_len);
  max_num_tokens = static_cast<int32_t>(std::max<int64_t>(longest, num_prompt()));
  const auto room = static_cast<std::size_t>(max_num_tokens) + 1;
  const std::size_t num_blocks = room / static_cast<std::size_t>(block_size) + 1;
  kv.groups.resize(num_groups);
  for (GroupTable& table : kv.groups) table.blocks.reserve(num_blocks);
  kv.keys.reserve(num_blocks);
  output.reserve(room - prompt.size());  // last: it says that the rest is there
}

// A queue of sequences, linked through the sequences themselves: taking one out of the middle (a
// cancellation) is O(1) and nothing allocates. A sequence is in at most one queue.
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

// Which sequence has which row. The lowest free row is given out first, so that the rows in use stay dense.
class RowPool {
 public:
  explicit RowPool(int32_t num_rows) : owner_(static_cast<std::size_t>(num_rows)) {
    for (int32_t row = 0; row < num_rows; ++row) free_.push_back(row);
    unannounced_.reserve(owner_.size());
  }

  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  Sequence* owner(int32_t row) const { return owner_[static_cast<std::size_t>(row)]; }

  void take(Sequence* seq) {
    PAGODA_CHECK(!free_.empty() && seq->row < 0, "no free row, or a second one for the same sequence");
    std::pop_heap(free_.begin(), free_.end(), std::greater<>());
    seq->row = free_.back();
    free_.pop_back();
    owner_[static_cast<std::size_t>(seq->row)] = seq;
  }
  void give_back(Sequence* seq) {
    owner_[static_cast<std::size_t>(seq->row)] = nullptr;
    free_.push_back(seq->row);
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
    unannounced_.push_back(seq->row);
    seq->row = -1;
  }
  // Rows given back since the last plan that was run, for that plan to tell. A row that was taken and given
  // back between two plans is not in here twice: a row is taken only for a plan that is run.
  void announce_freed(std::vector<int32_t>* freed_rows) {
    freed_rows->insert(freed_rows->end(), unannounced_.begin(), unannounced_.end());
    unannounced_.clear();
  }

 private:
  std::vector<Sequence*> owner_;      // [num_rows]
  std::vector<int32_t> free_;         // min-heap
  std::vector<int32_t> unannounced_;  // given back, not yet told to the runner
};

}  // namespace pagoda
