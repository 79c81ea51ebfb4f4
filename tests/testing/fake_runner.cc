#include "tests/testing/fake_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/rng.h"
#include "tests/testing/fake_runner_impl.h"

namespace pagoda::testing {
namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  return SplitMix64(a * 0x9E3779B97F4A7C15ull + b).next();
}

}  // namespace

uint64_t FakeModel::extend(uint64_t prefix, TokenId token) const {
  return mix(prefix, static_cast<uint64_t>(token) + 1) | 1;  // never 0, the empty prefix
}
TokenId FakeModel::sample(uint64_t prefix, uint64_t sample_seed, int32_t output_index) const {
  uint64_t draw = mix(mix(mix(prefix, seed), sample_seed), static_cast<uint64_t>(output_index));
  return static_cast<TokenId>(draw % static_cast<uint64_t>(vocab_size));
}
bool FakeModel::is_bad(uint64_t prefix, uint64_t sample_seed) const {
  return bad_one_in != 0 && mix(mix(prefix, seed + 99), sample_seed) % bad_one_in == 0;
}
bool FakeModel::is_lost(uint64_t step_id) const {
  return no_memory_one_in != 0 && mix(seed + 7, step_id) % no_memory_one_in == 0;
}
float FakeModel::logprob(uint64_t prefix, TokenId token) const {
  return -static_cast<float>(mix(prefix, seed + static_cast<uint64_t>(token)) % 1000) / 100;
}
TopLogprob FakeModel::top(uint64_t prefix, int32_t place) const {
  return {static_cast<TokenId>(mix(prefix, static_cast<uint64_t>(place)) % static_cast<uint64_t>(vocab_size)),
          -static_cast<float>(place)};
}

FakeRunner::FakeRunner(FakeModel model, std::vector<KvGroupSpec> groups, int32_t num_blocks,
                       int32_t max_num_seqs)
    : model_(model), num_blocks_(num_blocks), rows_(index(max_num_seqs)) {
  for (const KvGroupSpec& spec : groups) {
    std::size_t num_slots = index(num_blocks) * index(spec.block_size);
    groups_.push_back({spec, std::vector<uint64_t>(num_slots), std::vector<uint64_t>(num_slots),
                       std::vector<uint64_t>(index(num_blocks), 1), std::vector<int32_t>(index(num_blocks)),
                       std::vector<int32_t>(num_slots), std::vector<Group::Use>(index(num_blocks))});
    if (spec.window > 0) num_windowed_layers_ += std::max(static_cast<int32_t>(spec.layers.size()), 1);
  }
}

void FakeRunner::violate(const std::string& what) {
  if (violation_.empty())
    violation_ = named("step ", launched_.empty() ? -1 : static_cast<int64_t>(launched_[0].plan->step_id)) +
                 ": " + what;
}

FakeRunner::Row* FakeRunner::row_at(int32_t row, const char* where) {
  bool live = row >= 0 && index(row) < rows_.size() && rows_[index(row)].live;
  if (!live) violate(where + named(" names a row that is not alive: ", row));
  return live ? &rows_[index(row)] : nullptr;
}

void FakeRunner::append(Row* row, TokenId token) {
  const uint64_t before = row->prefix.empty() ? row->root : row->prefix.back();
  const uint64_t content = content_at ? content_at(row->id, row->prefix.size()) : 0;
  row->prefix.push_back(model_.extend(before ^ content, token));
  row->tokens.push_back(token);
}

void FakeRunner::add_owner(Group* group, BlockId block, int32_t more) {
  if (block == kNullBlock) return;
  int32_t& owners = group->owners[index(block)];
  num_owned_ -= owners > 0;
  owners += more;
  num_owned_ += owners > 0;
}

// Its vectors keep their memory.
void FakeRunner::free_row(Row* row) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::size_t i = row->behind[g]; i < row->tables[g].size(); ++i)
      add_owner(&groups_[g], row->tables[g][i], -1);
    row->tables[g].clear();
    row->seen[g].clear();
    row->behind[g] = 0;
  }
  choices_.erase(choice_key(row->id, row->choice));
  row->live = false;
  row->num_computed = 0;
  row->tokens.clear();
  row->prefix.clear();
}

Status FakeRunner::launch(const StepPlan& plan) {
  EXPECT_LT(launched_.size(), 2u) << "a third plan in flight";
  overlaps_ |= !launched_.empty();
  launched_.push_back({&plan, launched_.empty() ? plan.step_id : launched_[0].plan->step_id, {}});
  for (const NewRow& fresh : plan.new_rows) launched_.back().roots.push_back(root_of ? root_of(fresh) : 0);
  return Status::ok_status();
}

Status FakeRunner::wait(uint64_t step_id, StepResult* result) {
  const StepPlan& plan = *launched_.at(0).plan;
  EXPECT_EQ(plan.step_id, step_id);
  if (on_wait) {
    Status status = on_wait(plan);
    if (!status.ok()) {
      launched_.clear();
      return status;
    }
  }
  ++num_steps_;
  last_step_ = step_id;
  expect(!plan.empty(), "an empty plan is run");
  *result = {};
  result->step_id = plan.step_id;
  result->no_memory = !plan.work.empty() && model_.is_lost(plan.step_id);
  if (result->no_memory) lost_until_ = std::max(lost_until_, launched_.back().plan->step_id);
  const bool is_lost = plan.step_id <= lost_until_;
  void (FakeRunner::*const stages[])(const StepPlan&) = {
      &FakeRunner::apply_rows,   &FakeRunner::apply_blocks, &FakeRunner::apply_stores,
      &FakeRunner::apply_copies, &FakeRunner::apply_loads,  &FakeRunner::drop_behind,
      &FakeRunner::write_kv,     &FakeRunner::check_owners, &FakeRunner::read_kv};
  for (auto stage : stages) {
    if (is_lost && stage == &FakeRunner::write_kv) break;
    if (violation_.empty()) (this->*stage)(plan);
  }
  if (violation_.empty()) (this->*(is_lost ? &FakeRunner::draw_nothing : &FakeRunner::draw))(plan, result);
  if (violation_.empty() && offload_ != nullptr) offload_->begin_background(plan);
  if (!violation_.empty()) {
    launched_.clear();
    ADD_FAILURE() << violation_;
    return internal_error(violation_);
  }
  launched_.erase(launched_.begin());
  return Status::ok_status();
}

void FakeRunner::apply_rows(const StepPlan& plan) {
  for (int32_t freed : plan.freed_rows) {
    if (Row* row = row_at(freed, "freed_rows")) free_row(row);
  }
  for (std::size_t i = 0; i < plan.new_rows.size(); ++i) {
    const NewRow& fresh = plan.new_rows[i];
    bool vacant = fresh.row >= 0 && index(fresh.row) < rows_.size() && !rows_[index(fresh.row)].live;
    if (!vacant) violate(named("a new row is out of range or alive already: ", fresh.row));
    expect(fresh.num_tokens > 0 && index(fresh.token_begin + fresh.num_tokens) <= plan.tokens.size() &&
               index(fresh.params_index) < plan.params.size() && fresh.num_prompt_tokens > 0 &&
               fresh.num_prompt_tokens <= fresh.num_tokens,
           "a new row points outside of the plan");
    if (!violation_.empty()) return;
    Row& row = rows_[index(fresh.row)];
    row.live = true;
    row.id = fresh.id;
    row.choice = fresh.choice;
    row.num_prompt = fresh.num_prompt_tokens;
    row.params = plan.params[index(fresh.params_index)];
    row.root = launched_[0].roots[i];
    row.work_step = row.sample_step = 0;
    row.exact_from = 0;
    row.tables.resize(groups_.size());
    row.seen.resize(groups_.size());
    row.behind.resize(groups_.size());
    expect(choices_.insert(choice_key(row.id, row.choice)).second, "a choice has two rows");
    for (int32_t k = 0; k < fresh.num_tokens; ++k) append(&row, plan.tokens[index(fresh.token_begin + k)]);
  }
}

void FakeRunner::apply_blocks(const StepPlan& plan) {
  for (const NewBlocks& blocks : plan.new_blocks) {
    Row* row = row_at(blocks.row, "new_blocks");
    bool inside = blocks.group >= 0 && index(blocks.group) < groups_.size() && blocks.count > 0 &&
                  index(blocks.begin + blocks.count) <= plan.block_ids.size();
    expect(inside, "new blocks point outside of the plan");
    if (!violation_.empty()) return;
    std::vector<BlockId>& table = row->tables[index(blocks.group)];
    expect(index(blocks.first_index) == table.size(),
           "a block table has a gap, or an entry is announced twice");
    for (int32_t i = 0; i < blocks.count; ++i) {
      table.push_back(plan.block_ids[index(blocks.begin + i)]);
      row->seen[index(blocks.group)].push_back(0);
      expect(table.back() >= kNullBlock && table.back() < num_blocks_, "a block id is out of range");
      if (!violation_.empty()) return;
      add_owner(&groups_[index(blocks.group)], table.back(), 1);
    }
  }
}

void FakeRunner::add_offload(const FakeOffloadConfig& config) {
  offload_ = std::make_unique<FakeOffload>(
      config, [this](bool condition, const char* what) { expect(condition, what); },
      [this](int32_t group, BlockId block) {
        expect(index(group) < groups_.size() && block > kNullBlock && block < num_blocks_,
               "an offload move is out of range");
        if (!violation_.empty()) group = 0, block = kNullBlock;
        const std::size_t size = index(groups_[index(group)].spec.block_size);
        return std::span(groups_[index(group)].slots).subspan(index(block) * size, size);
      });
}

void FakeRunner::take_ended_moves(std::vector<OffloadMoveEnd>* ended) {
  if (offload_ == nullptr || disk_stands) return;
  offload_->take_ended(ended);
  if (offload_->is_busy() && wake_) wake_();
}

void FakeRunner::apply_stores(const StepPlan& plan) {
  expect(plan.moves.empty() || offload_ != nullptr, "a move, but nothing is offloaded");
  if (offload_ != nullptr) offload_->run_stores(plan);
}

void FakeRunner::apply_loads(const StepPlan& plan) {
  if (offload_ == nullptr) return;
  offload_->run_loads(plan);
  if (!violation_.empty()) return;
  for (const OffloadMove& move : plan.moves)
    if (move.kind == OffloadMoveKind::kLoad)
      groups_[index(move.group)].version[index(move.block)] = ++num_writes_;
}

void FakeRunner::apply_copies(const StepPlan& plan) {
  if (plan.copies.empty()) return;
  std::set<BlockId> targets, sources;
  for (const BlockCopy& copy : plan.copies) {
    expect(index(copy.group) < groups_.size() && copy.src > kNullBlock && copy.src < num_blocks_ &&
               copy.dst > kNullBlock && copy.dst < num_blocks_,
           "a copy is out of range");
    expect(targets.insert(copy.dst).second, "a block is the target of two copies");
    sources.insert(copy.src);
  }
  for (BlockId source : sources) expect(!targets.contains(source), "a block is source and target of copies");
  if (!violation_.empty()) return;
  for (const BlockCopy& copy : plan.copies) {
    Group& group = groups_[index(copy.group)];
    group.version[index(copy.dst)] = ++num_writes_;
    for (std::size_t i = 0; i < index(group.spec.block_size); ++i) {
      const std::size_t from = index(copy.src * group.spec.block_size) + i,
                        to = index(copy.dst * group.spec.block_size) + i;
      group.slots[to] = group.slots[from];
      group.exact_layers[to] = group.exact_layers[from];
    }
  }
}

bool FakeRunner::audit() {
  int32_t num_owned = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    std::vector<int32_t> owners(index(num_blocks_));
    for (Row& row : rows_) {
      if (!row.live) continue;
      for (std::size_t i = row.behind[g]; i < row.tables[g].size(); ++i) ++owners[index(row.tables[g][i])];
      std::ranges::fill(row.seen[g], 0);
      // A row without work may have given up what it no longer sees.
      if (group.sees_all() || (row.work_step == last_step_ && row.exact_from < row.num_computed))
        read_row(&row, g, group.first_seen(row.num_computed));
    }
    owners[kNullBlock] = 0;
    expect(owners == group.owners, "owners of blocks are miscounted");
    num_owned += static_cast<int32_t>(
        std::count_if(owners.begin(), owners.end(), [](int32_t count) { return count > 0; }));
  }
  expect(num_owned == num_owned_, "owned blocks are miscounted");
  return violation_.empty();
}

void FakeRunner::draw(const StepPlan& plan, StepResult* result) {
  result->top_begin.push_back(0);
  for (const SampleWork& sample : plan.samples) {
    draw_one(plan, sample, result);
    if (!violation_.empty()) return;
  }
  result->num_accepted.assign(plan.work.size(), 0);
}

void FakeRunner::draw_nothing(const StepPlan& plan, StepResult* result) {
  result->token.assign(plan.samples.size(), 0);
  result->logprob.assign(plan.samples.size(), 0);
  result->rank.assign(plan.samples.size(), 0);
  result->bad.assign(plan.samples.size(), kNoMemory);
  result->top_begin.assign(plan.samples.size() + 1, 0);
  result->num_accepted.assign(plan.work.size(), 0);
}

void FakeRunner::draw_one(const StepPlan& plan, const SampleWork& sample, StepResult* result) {
  Row* row = row_at(sample.row, "samples");
  expect(sample.flat_index >= 0 && index(sample.flat_index) < flat_row_.size(),
         "a sample lies outside of the batch");
  if (!violation_.empty()) return;
  const Row& source = rows_[index(flat_row_[index(sample.flat_index)])];
  int32_t position = flat_position_[index(sample.flat_index)];
  uint64_t prefix = source.prefix[index(position)];
  expect(index(position) < row->tokens.size() && row->prefix[index(position)] == prefix,
         "a sample's logits follow other tokens than its row's");
  expect(&source == row || (row->choice > 0 && source.id == row->id), "a sample reads a stranger's logits");
  expect(position >= source.exact_from, "a replayed position is sampled from");
  if (!violation_.empty()) return;

  bool is_prompt = sample.kind == SampleKind::kPromptLogprobs;
  int32_t num_top = is_prompt ? row->params.num_prompt_logprobs : row->params.num_logprobs;
  TokenId token = sample.target;
  bool bad = false;
  if (is_prompt) {
    expect(position + 1 < row->num_prompt && row->tokens[index(position + 1)] == sample.target,
           "a prompt log-probability is asked for another token than the prompt's");
  } else {
    expect(index(position) + 1 == row->tokens.size(), "a row samples before it has caught up");
    expect(sample.output_index == static_cast<int32_t>(row->tokens.size()) - row->num_prompt,
           "output_index is not the number of generated tokens");
    token = model_.sample(prefix, row->params.seed, sample.output_index);
    bad = model_.is_bad(prefix, row->params.seed);
    if (violation_.empty()) append(row, bad ? 0 : token);  // a plan in flight may go on from it
    row->sample_step = plan.step_id;
  }
  result->token.push_back(token);
  result->logprob.push_back(model_.logprob(prefix, token));
  result->rank.push_back(1 + token % 7);
  for (int32_t i = 0; i < num_top; ++i) result->top.push_back(model_.top(prefix, i));
  result->top_begin.push_back(static_cast<int32_t>(result->top.size()));
  result->bad.push_back(bad);
}

}  // namespace pagoda::testing
