// A runner without a model, for tests of whatever stands above it. It distrusts its plans: rows, block
// tables, the tokens of the flat batch, and the content of the cache, where each slot holds a hash of all
// tokens up to its position, so that a block that is shared, copied, freed or written wrongly shows at the
// first read. What it samples is a pure function of the tokens before, the seed and the output index: a run
// can be compared with an oracle.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "runner/model_runner.h"
#include "tests/testing/fake_offload.h"

namespace pagoda::testing {

struct FakeModel {
  uint64_t seed = 0;
  int32_t vocab_size = 40;
  uint64_t bad_one_in = 0;        // one in so many draws meets logits that are not finite; 0: never
  uint64_t no_memory_one_in = 0;  // one in so many steps computes nothing, for want of memory; 0: never

  // Hash of a prefix and one token more; 0 is the empty prefix's.
  uint64_t extend(uint64_t prefix, TokenId token) const;
  TokenId sample(uint64_t prefix, uint64_t sample_seed, int32_t output_index) const;
  bool is_bad(uint64_t prefix, uint64_t sample_seed) const;
  bool is_lost(uint64_t step_id) const;
  float logprob(uint64_t prefix, TokenId token) const;
  TopLogprob top(uint64_t prefix, int32_t place) const;
};

class FakeRunner : public ModelRunner {
 public:
  FakeRunner(FakeModel model, std::vector<KvGroupSpec> groups, int32_t num_blocks, int32_t max_num_seqs);

  // From now on plans may offload blocks and load them again.
  void add_offload(const FakeOffloadConfig& config);
  const FakeOffload* offload() const { return offload_.get(); }

  Status launch(const StepPlan& plan) override;
  Status wait(uint64_t step_id, StepResult* result) override;
  int32_t vocab_size() const override { return model_.vocab_size; }
  int32_t max_in_flight() const override { return 2; }

  // Ends some moves; while any is under way the engine is woken to look again, unless `disk_stands`.
  void take_ended_moves(std::vector<OffloadMoveEnd>* ended) override;
  void on_move_end(std::function<void()> wake) override { wake_ = std::move(wake); }
  std::atomic<bool> disk_stands = false;
  void wake() const { wake_(); }

  // Called by wait() before anything else; an error is the step's.
  std::function<Status(const StepPlan&)> on_wait;
  uint64_t num_steps() const { return num_steps_; }
  // What was wrong with the first bad plan; wait() also reports it as a test failure.
  const std::string& violation() const { return violation_; }
  // Where the hash of a row's first token starts: rows that differ in it must never share. Null: all may.
  std::function<uint64_t(const NewRow&)> root_of;
  // What a request has at a position beside its token: rows that differ in it must not share from there on.
  // Null, 0: nothing.
  std::function<uint64_t(RequestId, std::size_t position)> content_at;
  // Tokens that were computed for the sake of windows alone.
  uint64_t num_replayed() const { return num_replayed_; }
  // Blocks that some live row may still look at.
  int32_t num_owned() const { return num_owned_; }
  // Between wait() and the next launch(): reads everything again that any row can see, and counts again what
  // is otherwise counted as it changes. False: violation().
  bool audit();

 private:
  struct Row {
    bool live = false;
    RequestId id = 0;
    int32_t choice = 0, num_prompt = 0, num_computed = 0;
    std::vector<TokenId> tokens;
    uint64_t root = 0, work_step = 0;          // work_step: the last that had work for it
    uint64_t sample_step = 0;                  // the last that sampled for it
    int32_t exact_from = 0;                    // positions of its last work before this were replayed
    std::vector<uint64_t> prefix;              // [tokens] hash up to and including each
    std::vector<std::vector<BlockId>> tables;  // [group]
    std::vector<std::vector<uint64_t>> seen;   // [group][table] the version of the block that was read last
    std::vector<std::size_t> behind;           // [group] leading entries that it cannot see any more
    SamplingParams params;
  };
  struct Group {
    KvGroupSpec spec;
    std::vector<uint64_t> slots;         // [num_blocks * block_size]
    std::vector<uint64_t> written_step;  // [slots] the step that wrote each last
    std::vector<uint64_t>
        version;                  // [num_blocks] grows with every write: what is unchanged is not read again
    std::vector<int32_t> owners;  // [num_blocks] entries of live rows that still see it
    // [slots] of a window: how many of the model's windowed layers have there what they would have without a
    // replay.
    std::vector<int32_t> exact_layers;
    bool sees_all() const { return spec.kind == KvKind::kFullAttention || spec.kind == KvKind::kMlaLatent; }
    bool is_state() const { return spec.kind == KvKind::kRecurrentState; }
    // The first position that a query at `position` sees.
    int32_t first_seen(int32_t position) const {
      if (is_state()) return std::max(position - 1, 0);
      return sees_all() ? 0 : std::max(position - spec.window + 1, 0);
    }
    struct Use {
      uint64_t step = 0, choice = 0;
    };
    std::vector<Use> last_use;  // [num_blocks]; choice 0: several of them
  };
  struct Launched {
    const StepPlan* plan;
    uint64_t oldest;              // the first step whose result was not known when it was launched
    std::vector<uint64_t> roots;  // of its new rows
  };
  void expect(bool condition, const char* what) {
    if (!condition) violate(what);
  }
  void violate(const std::string& what);
  Row* row_at(int32_t row, const char* where);
  void append(Row* row, TokenId token);
  void free_row(Row* row);
  void add_owner(Group* group, BlockId block, int32_t more);
  void read_row(Row* row, std::size_t g, int32_t begin);
  uint64_t* slot(Group* group, const Row& row, std::size_t g, int32_t position);
  void apply_rows(const StepPlan& plan);
  void apply_blocks(const StepPlan& plan);
  void apply_stores(const StepPlan& plan);
  void apply_copies(const StepPlan& plan);
  void apply_loads(const StepPlan& plan);
  void drop_behind(const StepPlan& plan);
  void check_token(const Row& row, const StepPlan& plan, TokenId token, int32_t position);
  void check_in_flight(const StepPlan& plan);
  void note_uses(const StepPlan& plan);
  int32_t exact_layers(const Row& row, int32_t position);
  uint64_t* state(std::size_t g, const Row& row, int32_t num_computed);
  void read_states(const StepPlan& plan);
  void write_states(const StepPlan& plan, const RowWork& work);
  void write_kv(const StepPlan& plan);
  void check_owners(const StepPlan& plan);
  void read_kv(const StepPlan& plan);
  void draw(const StepPlan& plan, StepResult* result);
  void draw_nothing(const StepPlan& plan, StepResult* result);
  void draw_one(const StepPlan& plan, const SampleWork& sample, StepResult* result);

  FakeModel model_;
  int32_t num_blocks_;
  std::vector<Group> groups_;
  int32_t num_windowed_layers_ = 0;
  std::vector<Row> rows_;
  std::unique_ptr<FakeOffload> offload_;
  std::function<void()> wake_;
  std::vector<Launched> launched_;
  bool overlaps_ = false;    // two plans have been in flight
  uint64_t lost_until_ = 0;  // plans up to this one were launched before one was known to compute nothing
  // Of the step at hand, by flat index.
  std::vector<int32_t> flat_row_, flat_position_;
  std::unordered_set<uint64_t> choices_;  // of live rows: id and choice
  int32_t num_owned_ = 0;
  uint64_t num_writes_ = 1, num_replayed_ = 0;
  uint64_t num_steps_ = 0, last_step_ = 0;
  std::string violation_;
};

}  // namespace pagoda::testing
