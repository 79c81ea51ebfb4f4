// Each model family through the whole engine: greedy ids are those of transformers, alone and among others,
// with prompts in chunks, and again where the prefix cache knows their beginning.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "assembly/assemble.h"
#include "base/json.h"
#include "tests/testing/family_fixtures.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::FamilyFixture;
using testing::FamilyPrompt;

class Answer : public EventSink {
 public:
  void on_event(TokenEvent&& event) override {
    std::lock_guard lock(mutex_);
    ids_.insert(ids_.end(), event.out.token.begin(), event.out.token.end());
    ended_ = event.finish != FinishReason::kNone;
    if (ended_) changed_.notify_all();
  }
  std::vector<TokenId> wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return ended_; }));
    return ids_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TokenId> ids_;
  bool ended_ = false;
};

// A word for each id of the fixtures' vocabulary.
std::string tokenizer_json() {
  Object vocab;
  for (int id = 0; id < 64; ++id) vocab.set("t" + std::to_string(id), id);
  return R"({"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
      "decoder":{"type":"Fuse"},"model":{"type":"BPE","merges":[],"vocab":)" +
         write_json(Value(std::move(vocab))) + "}}";
}

std::shared_ptr<Answer> ask(Engine* engine, const FamilyPrompt& prompt) {
  auto request = std::make_unique<Request>();
  request->id = engine->next_request_id();
  request->prompt = std::vector<TokenId>(prompt.ids);
  request->params.temperature = 0;
  request->params.ignore_eos = true;
  request->params.max_tokens = static_cast<int32_t>(prompt.greedy.size());
  auto answer = std::make_shared<Answer>();
  EXPECT_TRUE(engine->submit(std::move(request), engine->reserve(1).value(), answer).ok());
  return answer;
}

class FamiliesServed : public ::testing::TestWithParam<const char*> {};

TEST_P(FamiliesServed, AnswersAreThoseOfTransformers) {
  const FamilyFixture fixture = testing::read_family_fixture(GetParam());
  testing::TempDir tokenizer;
  testing::write_file(tokenizer.file("tokenizer.json"), tokenizer_json());
  EngineArgs args;
  args.model.path = fixture.folder;
  args.model.tokenizer = tokenizer.path();
  args.model.dtype = "float32";
  args.model.max_model_len = fixture.max_positions;
  args.cache.kv_cache_memory_bytes = 4 << 20;
  args.cache.block_size = 4;
  args.config.scheduler.max_num_batched_tokens = 11;  // longer prompts come in chunks
  args.config.scheduler.max_num_seqs = 4;
  args.cpu.num_threads = 2;
  args.config.log_stats = false;
  auto assembly = assemble(args);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  Engine* engine = (*assembly)->engine.get();
  for (const FamilyPrompt& prompt : fixture.prompts) EXPECT_EQ(ask(engine, prompt)->wait(), prompt.greedy);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::shared_ptr<Answer>> answers;
    for (const FamilyPrompt& prompt : fixture.prompts) answers.push_back(ask(engine, prompt));
    for (std::size_t i = 0; i < answers.size(); ++i)
      EXPECT_EQ(answers[i]->wait(), fixture.prompts[i].greedy) << round << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FamiliesServed, ::testing::ValuesIn(testing::kFamilies),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace pagoda
