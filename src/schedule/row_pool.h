// Which sequence has which row. The lowest free row is given out first, so that the rows in use stay dense.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/check.h"
#include "schedule/sequence.h"

namespace pagoda {

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
