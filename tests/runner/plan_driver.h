// Makes plans by hand for a runner under test: gives rows and blocks to sequences, feeds them in whatever
// pieces the test wants, and keeps what came back.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mmap.h"
#include "base/rng.h"
#include "model/registry.h"
#include "runner/local_model_runner.h"
#include "tests/testing/guarded_backend.h"

namespace pagoda::testing {

struct RunnerOptions {
  int32_t num_threads = 1, block_size = 16, num_blocks = 400, max_num_seqs = 70, max_num_batched_tokens = 600;
  DType kv_dtype = DType::kF32;
  std::size_t logits_bytes = kLogitsBytes;
  Backend backend = Backend::kCpu;
  std::optional<WeightFormat> format;  // to quantize to
};

inline std::unique_ptr<ModelRunner> load_runner(const std::string& folder, const RunnerOptions& o = {}) {
  auto spec = read_model_spec(read_file(folder + "/config.json").value(), "config.json");
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  auto checkpoint = Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto stream = make_stream(o.backend, o.num_threads);
  auto decoder =
      Decoder::load(*spec, **checkpoint, {.layers_format = o.format, .vocabulary_format = o.format}, *stream);
  EXPECT_TRUE(decoder.ok()) << decoder.status().message();
  auto runner = LocalModelRunner::create(
      {o.max_num_seqs, o.max_num_batched_tokens, o.block_size, o.num_blocks, o.kv_dtype, o.logits_bytes},
      std::move(stream), std::move(*decoder));
  EXPECT_TRUE(runner.ok()) << runner.status().message();
  return std::move(*runner);
}

// What a sequence got, in order.
struct Outcome {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs, prompt_logprobs;
  std::vector<int32_t> ranks;
  std::vector<std::vector<TopLogprob>> top, prompt_top;
  bool bad = false;
};

struct DrivenSequence {
  std::vector<TokenId> tokens;
  RequestId id = 0;
  int32_t num_prompt = 0, num_computed = 0, row = -1, choice = 0;
  SamplingParams params;
  std::vector<BlockId> blocks;
  std::size_t num_announced = 0;
  Outcome outcome;
  int32_t num_output() const { return static_cast<int32_t>(tokens.size()) - num_prompt; }
  int32_t num_waiting() const { return static_cast<int32_t>(tokens.size()) - num_computed; }
};

class PlanDriver {
 public:
  PlanDriver(ModelRunner* runner, const RunnerOptions& options)
      : runner_(runner), block_size_(options.block_size) {
    for (int32_t row = options.max_num_seqs - 1; row >= 0; --row) free_rows_.push_back(row);
    for (int32_t block = 1; block < options.num_blocks; ++block) free_blocks_.push_back(block);
    SplitMix64 rng(7);
    for (std::size_t i = free_blocks_.size(); i > 1; --i)
      std::swap(free_blocks_[i - 1], free_blocks_[rng.below(i)]);
  }

  std::size_t add(std::vector<TokenId> prompt, const SamplingParams& params) {
    auto& seq = sequences_.emplace_back(std::make_unique<DrivenSequence>());
    seq->id = sequences_.size();
    seq->num_prompt = static_cast<int32_t>(prompt.size());
    seq->tokens = std::move(prompt);
    seq->params = params;
    return sequences_.size() - 1;
  }
  DrivenSequence& operator[](std::size_t index) { return *sequences_[index]; }

  // A copy of `leader`, which has just been fed its whole prompt: samples with it in the step that does so.
  std::size_t add_twin(std::size_t leader, const SamplingParams& params) {
    std::size_t twin = add({sequences_[leader]->tokens}, params);
    sequences_[twin]->choice = 1;
    sequences_[twin]->id = sequences_[leader]->id;
    twins_.push_back({leader, twin});
    return twin;
  }

  // Gives up row and blocks; fed again, it starts over with all its tokens.
  void preempt(std::size_t index) {
    DrivenSequence& seq = *sequences_[index];
    freed_rows_.push_back(seq.row);
    free_rows_.push_back(seq.row);
    free_blocks_.insert(free_blocks_.end(), seq.blocks.begin(), seq.blocks.end());  // the next to be used
    seq.row = -1;
    seq.blocks.clear();
    seq.num_announced = 0;
    seq.num_computed = 0;
  }

  // Feeds `count` tokens of each of these sequences; those that have caught up sample.
  StepPlan plan(const std::vector<std::pair<std::size_t, int32_t>>& pieces, bool from_last_step = false) {
    StepPlan plan;
    plan.step_id = ++num_steps_;
    plan.freed_rows = std::exchange(freed_rows_, {});
    for (auto [index, count] : pieces) {
      DrivenSequence& seq = *sequences_[index];
      if (seq.row < 0) start(&plan, &seq);
      give_blocks(&plan, &seq, seq.num_computed + count);
      const auto begin = static_cast<int32_t>(plan.tokens.size());
      for (int32_t i = 0; i < count; ++i)
        plan.tokens.push_back(from_last_step ? kFromLastStep
                                             : seq.tokens[static_cast<std::size_t>(seq.num_computed + i)]);
      plan.work.push_back({seq.row, seq.num_computed, count, 0, begin});
      add_samples(&plan, index, &seq, count);
      seq.num_computed += count;
      plan.num_tokens += count;
    }
    plan.copies = std::exchange(copies_, {});
    return plan;
  }

  void take(const StepPlan& plan, const StepResult& result) {
    ASSERT_EQ(result.token.size(), plan.samples.size());
    for (std::size_t i = 0; i < plan.samples.size(); ++i) {
      DrivenSequence& seq = *at_row(plan.samples[i].row);
      std::vector<TopLogprob> top(result.top.begin() + result.top_begin[i],
                                  result.top.begin() + result.top_begin[i + 1]);
      seq.outcome.bad |= result.bad[i] != 0;
      if (plan.samples[i].kind == SampleKind::kPromptLogprobs) {
        seq.outcome.prompt_logprobs.push_back(result.logprob[i]);
        seq.outcome.prompt_top.push_back(top);
        continue;
      }
      seq.tokens.push_back(result.token[i]);
      seq.outcome.tokens.push_back(result.token[i]);
      seq.outcome.logprobs.push_back(result.logprob[i]);
      seq.outcome.ranks.push_back(result.rank[i]);
      seq.outcome.top.push_back(top);
    }
    for (auto [leader, twin] : std::exchange(forking_, {})) fork(*sequences_[leader], sequences_[twin].get());
  }

  // Of the plan launched first.
  void wait_for(const StepPlan& plan) {
    const Status done = runner_->wait(plan.step_id, &result_);
    ASSERT_TRUE(done.ok()) << done.message();
    take(plan, result_);
  }
  void run(const StepPlan& plan) {
    const Status launched = runner_->launch(plan);
    ASSERT_TRUE(launched.ok()) << launched.message();
    wait_for(plan);
  }
  void step(const std::vector<std::pair<std::size_t, int32_t>>& pieces) {
    const StepPlan made = plan(pieces);
    run(made);
  }

  // Feeds everything, `chunk` tokens a step, until `count` tokens are sampled.
  void generate(std::size_t index, int32_t count, int32_t chunk = 1 << 20) {
    while (sequences_[index]->num_output() < count)
      step({{index, std::min(chunk, sequences_[index]->num_waiting())}});
  }

 private:
  void start(StepPlan* plan, DrivenSequence* seq) {
    seq->row = free_rows_.back();
    free_rows_.pop_back();
    plan->new_rows.push_back({seq->id, seq->row, seq->choice, static_cast<int32_t>(plan->tokens.size()),
                              static_cast<int32_t>(seq->tokens.size()), seq->num_prompt,
                              static_cast<int32_t>(plan->params.size()), 0});
    plan->tokens.insert(plan->tokens.end(), seq->tokens.begin(), seq->tokens.end());
    plan->params.push_back(seq->params);
  }
  void give_blocks(StepPlan* plan, DrivenSequence* seq, int32_t num_tokens) {
    while (static_cast<int32_t>(seq->blocks.size()) * block_size_ < num_tokens) {
      ASSERT_FALSE(free_blocks_.empty());
      seq->blocks.push_back(free_blocks_.back());
      free_blocks_.pop_back();
    }
    if (seq->num_announced == seq->blocks.size()) return;
    plan->new_blocks.push_back({seq->row, 0, static_cast<int32_t>(seq->num_announced),
                                static_cast<int32_t>(plan->block_ids.size()),
                                static_cast<int32_t>(seq->blocks.size() - seq->num_announced)});
    plan->block_ids.insert(plan->block_ids.end(), seq->blocks.begin() + static_cast<long>(seq->num_announced),
                           seq->blocks.end());
    seq->num_announced = seq->blocks.size();
  }
  void add_samples(StepPlan* plan, std::size_t index, DrivenSequence* seq, int32_t count) {
    const int32_t flat = plan->num_tokens;
    if (seq->params.num_prompt_logprobs >= 0)
      for (int32_t p = seq->num_computed; p < std::min(seq->num_computed + count, seq->num_prompt - 1); ++p)
        plan->samples.push_back({seq->row, flat + p - seq->num_computed, 0, -1,
                                 seq->tokens[static_cast<std::size_t>(p + 1)], SampleKind::kPromptLogprobs});
    if (count < seq->num_waiting()) return;
    plan->samples.push_back({seq->row, flat + count - 1, seq->num_output(), -1, -1, SampleKind::kSample});
    for (auto [leader, twin] : twins_) {
      if (leader != index) continue;
      start(plan, sequences_[twin].get());
      plan->samples.push_back({sequences_[twin]->row, flat + count - 1, 0, -1, -1, SampleKind::kSample});
      forking_.push_back({leader, twin});
    }
    std::erase_if(twins_, [&](const auto& pair) { return pair.first == index; });
  }
  // Full blocks of the prompt are shared, a partial one is copied.
  void fork(const DrivenSequence& leader, DrivenSequence* twin) {
    const auto full = static_cast<std::size_t>(leader.num_prompt / block_size_);
    twin->blocks.assign(leader.blocks.begin(), leader.blocks.begin() + static_cast<long>(full));
    if (leader.num_prompt % block_size_ != 0) {
      twin->blocks.push_back(free_blocks_.back());
      free_blocks_.pop_back();
      copies_.push_back({0, leader.blocks[full], twin->blocks[full]});
    }
    twin->num_computed = leader.num_prompt;
  }
  DrivenSequence* at_row(int32_t row) {
    for (auto& seq : sequences_)
      if (seq->row == row) return seq.get();
    return nullptr;
  }

  ModelRunner* runner_;
  StepResult result_;  // of the last step
  int32_t block_size_;
  uint64_t num_steps_ = 0;
  std::vector<std::unique_ptr<DrivenSequence>> sequences_;
  std::vector<int32_t> free_rows_, freed_rows_;
  std::vector<BlockId> free_blocks_;
  std::vector<BlockCopy> copies_;
  std::vector<std::pair<std::size_t, std::size_t>> twins_, forking_;  // leader, twin
};

}  // namespace pagoda::testing
