// FakeRunner's cache: what a step writes, what its rows must find, and who may write where.
#include <algorithm>
#include <utility>

#include "tests/testing/fake_runner_impl.h"

namespace pagoda::testing {

uint64_t* FakeRunner::slot(Group* group, const Row& row, std::size_t g, int32_t position) {
  auto block_index = index(position / group->spec.block_size);
  bool inside = block_index < row.tables[g].size() && row.tables[g][block_index] != kNullBlock;
  if (!inside) {
    violate(named("position ", position) + named(" of row ", &row - rows_.data()) +
            named(" has no block in group ", static_cast<int64_t>(g)));
    return nullptr;
  }
  return &group->slots[index(row.tables[g][block_index] * group->spec.block_size +
                             position % group->spec.block_size)];
}

// What is left open is what the step before sampled.
void FakeRunner::check_token(const Row& row, const StepPlan& plan, TokenId token, int32_t position) {
  const bool agrees = token == kFromLastStep
                          ? row.sample_step + 1 == plan.step_id && index(position) + 1 == row.tokens.size()
                          : token == row.tokens[index(position)];
  if (!agrees)
    violate(named("row ", &row - rows_.data()) + named(" has another token at position ", position));
}

// What is written is no other sequence's in a step whose result was not known when the plan was made. Not
// judged where there is a window: what has fallen behind it is another's at once.
void FakeRunner::check_in_flight(const StepPlan& plan) {
  auto check = [&](std::size_t g, BlockId block, uint64_t choice) {
    const Group::Use& use = groups_[g].last_use[index(block)];
    if (groups_[g].sees_all() && use.step >= launched_[0].oldest && use.choice != choice)
      violate(named("block ", block) +
              named(" is written, but a plan in flight uses it: step ", static_cast<int64_t>(use.step)));
  };
  for (const RowWork& work : plan.work) {
    const Row& row = rows_[index(work.row)];
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const int32_t size = groups_[g].spec.block_size;
      const int32_t begin = work.num_computed_tokens + work.num_replayed_tokens;
      const int32_t end = work.num_computed_tokens + work.num_scheduled_tokens;
      for (int32_t i = begin / size; begin < end && i * size < end; ++i)
        check(g, row.tables[g][index(i)], choice_key(row.id, row.choice));
    }
  }
  for (const BlockCopy& copy : plan.copies) check(index(copy.group), copy.dst, UINT64_MAX);
  for (const OffloadMove& move : plan.moves)
    if (move.kind == OffloadMoveKind::kLoad) check(index(move.group), move.block, UINT64_MAX);
}

void FakeRunner::note_uses(const StepPlan& plan) {
  for (const RowWork& work : plan.work) {
    const Row& row = rows_[index(work.row)];
    const uint64_t choice = choice_key(row.id, row.choice);
    for (std::size_t g = 0; g < groups_.size(); ++g)
      for (const BlockId block : row.tables[g]) {
        Group::Use& use = groups_[g].last_use[index(block)];
        use = {plan.step_id, use.step == plan.step_id && use.choice != choice ? 0 : choice};
      }
  }
}

// Of what a replayed position writes: one more than all that its windows show have.
int32_t FakeRunner::exact_layers(const Row& row, int32_t position) {
  int32_t least = num_windowed_layers_;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    if (group.spec.window == 0) continue;
    const int32_t size = group.spec.block_size;
    for (int32_t p = group.first_seen(position); p < position; ++p) {
      const BlockId block = row.tables[g][index(p / size)];
      least = std::min(least, block == kNullBlock ? 0 : group.exact_layers[index(block * size + p % size)]);
    }
  }
  return std::min(least + 1, num_windowed_layers_);
}

// Where the state behind num_computed tokens lies.
uint64_t* FakeRunner::state(std::size_t g, const Row& row, int32_t num_computed) {
  const int32_t size = groups_[g].spec.block_size;
  return slot(&groups_[g], row, g, (num_computed - 1) / size * size);
}

// Before any is written: what a step leaves can be gone on from in the next.
void FakeRunner::read_states(const StepPlan& plan) {
  for (const RowWork& work : plan.work) {
    const Row* row = row_at(work.row, "work");
    if (row == nullptr) return;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (!groups_[g].is_state() || work.num_computed_tokens == 0) continue;
      const uint64_t* content = state(g, *row, work.num_computed_tokens);
      if (content == nullptr) return;
      expect(*content == row->prefix[index(work.num_computed_tokens - 1)],
             "a row goes on from another state");
    }
  }
}

void FakeRunner::write_states(const StepPlan& plan, const RowWork& work) {
  const Row& row = rows_[index(work.row)];
  const int32_t end = work.num_computed_tokens + work.num_scheduled_tokens;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    if (!group.is_state()) continue;
    uint64_t* content = state(g, row, end);
    if (content == nullptr) return;
    const auto at = static_cast<std::size_t>(content - group.slots.data());
    expect(std::exchange(group.written_step[at], plan.step_id) != plan.step_id,
           "a state is written twice in one step");
    *content = row.prefix[index(end - 1)];
  }
}

void FakeRunner::write_kv(const StepPlan& plan) {
  read_states(plan);
  flat_row_.clear();
  flat_position_.clear();
  for (const RowWork& work : plan.work) {
    Row* row = row_at(work.row, "work");
    if (row == nullptr) return;
    expect(std::exchange(row->work_step, plan.step_id) != plan.step_id, "a row has work twice");
    expect(work.num_scheduled_tokens > 0 &&
               index(work.token_begin + work.num_scheduled_tokens) <= plan.tokens.size() &&
               index(work.num_computed_tokens + work.num_scheduled_tokens) <= row->tokens.size(),
           "work points outside of the plan or of the row's tokens");
    // What others have computed may be skipped; read_kv sees whether it is there.
    expect(work.num_computed_tokens >= row->num_computed, "a position is computed twice");
    expect(work.num_replayed_tokens >= 0 && work.num_replayed_tokens <= work.num_scheduled_tokens,
           "more is replayed than scheduled");
    row->exact_from = work.num_computed_tokens + work.num_replayed_tokens;
    num_replayed_ += static_cast<uint64_t>(work.num_replayed_tokens);
    for (int32_t i = 0; i < work.num_scheduled_tokens && violation_.empty(); ++i) {
      int32_t position = work.num_computed_tokens + i;
      const bool is_replayed = position < row->exact_from;
      check_token(*row, plan, plan.tokens[index(work.token_begin + i)], position);
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        Group& group = groups_[g];
        if (group.is_state() || (is_replayed && group.sees_all())) continue;
        uint64_t* content = slot(&group, *row, g, position);
        if (content == nullptr) return;
        const auto at = static_cast<std::size_t>(content - group.slots.data());
        expect(std::exchange(group.written_step[at], plan.step_id) != plan.step_id,
               "a slot is written twice in one step");
        group.version[at / index(group.spec.block_size)] = ++num_writes_;
        *content = row->prefix[index(position)];
        group.exact_layers[at] = is_replayed ? exact_layers(*row, position) : num_windowed_layers_;
      }
      flat_row_.push_back(work.row);
      flat_position_.push_back(position);
    }
    if (violation_.empty()) write_states(plan, work);
    if (!violation_.empty()) return;
    row->num_computed = work.num_computed_tokens + work.num_scheduled_tokens;
  }
  expect(flat_row_.size() == index(plan.num_tokens), "num_tokens is not the sum of the scheduled tokens");
  if (!overlaps_ || !violation_.empty()) return;
  check_in_flight(plan);
  note_uses(plan);
}

// Entries that neither this step nor a later one looks at: they end before what position num_computed sees.
void FakeRunner::drop_behind(const StepPlan& plan) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    if (group.sees_all()) continue;
    auto drop = [&](Row* row, int32_t num_computed) {
      const std::vector<BlockId>& table = row->tables[g];
      const std::size_t first = index(group.first_seen(num_computed) / group.spec.block_size);
      for (std::size_t& i = row->behind[g]; i < std::min(first, table.size()); ++i)
        add_owner(&groups_[g], table[i], -1);
    };
    for (Row& row : rows_)
      if (row.live) drop(&row, row.num_computed);
    for (const RowWork& work : plan.work)
      if (Row* row = row_at(work.row, "work")) drop(row, work.num_computed_tokens);
  }
}

// A row that writes into a block owns it alone, among all live rows that may still look at it. Not checked
// where there is a window: a row without work may have skipped what others computed, and given up what fell
// behind, without our knowing; its next read tells whether it was wronged.
void FakeRunner::check_owners(const StepPlan& plan) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!groups_[g].sees_all()) continue;
    for (const RowWork& work : plan.work) {
      int32_t size = groups_[g].spec.block_size;
      int32_t end = work.num_computed_tokens + work.num_scheduled_tokens;
      const int32_t begin = work.num_computed_tokens + work.num_replayed_tokens;
      for (int32_t i = begin / size; begin < end && i <= (end - 1) / size; ++i) {
        BlockId block = rows_[index(work.row)].tables[g][index(i)];
        if (groups_[g].owners[index(block)] == 1 || (i + 1) * size <= end) continue;
        violate(named("row ", work.row) + named(" writes into block ", block) +
                ", which others hold too, and does not fill it");
      }
    }
  }
}

void FakeRunner::read_kv(const StepPlan& plan) {
  for (const RowWork& work : plan.work) {
    for (std::size_t g = 0; g < groups_.size() && violation_.empty(); ++g) {
      Row* row = &rows_[index(work.row)];
      if (groups_[g].sees_all() || row->exact_from < row->num_computed)
        read_row(row, g, groups_[g].first_seen(row->exact_from));
    }
  }
}

// From position `begin`: every block that has changed since the row read it last. States: read_states().
void FakeRunner::read_row(Row* row, std::size_t g, int32_t begin) {
  Group& group = groups_[g];
  if (group.is_state()) return;
  const int32_t size = group.spec.block_size;
  for (int32_t i = begin / size; i * size < row->num_computed; ++i) {
    const std::vector<BlockId>& table = row->tables[g];
    if (index(i) < table.size()) {
      const uint64_t version = group.version[index(table[index(i)])];
      if (std::exchange(row->seen[g][index(i)], version) == version) continue;
    }
    for (int32_t p = std::max(i * size, begin); p < std::min((i + 1) * size, row->num_computed); ++p) {
      const uint64_t* content = slot(&group, *row, g, p);
      if (content == nullptr) return;
      const bool is_exact =
          group.spec.window == 0 || num_replayed_ == 0 ||
          group.exact_layers[static_cast<std::size_t>(content - group.slots.data())] == num_windowed_layers_;
      if (!is_exact) violate(named("a window shows what a replay has not brought back at position ", p));
      if (*content == row->prefix[index(p)]) continue;
      return violate(named("row ", row - rows_.data()) +
                     named(" reads another sequence's K/V at position ", p) +
                     named(" of group ", static_cast<int64_t>(g)));
    }
  }
}

}  // namespace pagoda::testing
