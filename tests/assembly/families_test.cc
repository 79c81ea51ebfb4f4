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

Result<std::unique_ptr<Assembly>> serve(const FamilyFixture& fixture, const std::string& quantization) {
  testing::TempDir tokenizer;
  testing::write_file(tokenizer.file("tokenizer.json"), tokenizer_json());
  EngineArgs args;
  args.model.path = fixture.folder;
  args.model.tokenizer = tokenizer.path();
  args.model.dtype = "float32";
  args.model.quantization = quantization;
  args.model.max_model_len = fixture.max_positions;
  args.cache.kv_cache_memory_bytes = 4 << 20;
  args.cache.block_size = 4;
  args.config.scheduler.max_num_batched_tokens = 11;  // longer prompts come in chunks
  args.config.scheduler.max_num_seqs = 4;
  args.cpu.num_threads = 2;
  args.config.log_stats = false;
  return assemble(args);
}

using Answers = std::vector<std::vector<TokenId>>;

Answers one_by_one(Engine* engine, const std::vector<FamilyPrompt>& prompts) {
  Answers answers;
  for (const FamilyPrompt& prompt : prompts) answers.push_back(ask(engine, prompt)->wait());
  return answers;
}

Answers together(Engine* engine, const std::vector<FamilyPrompt>& prompts) {
  std::vector<std::shared_ptr<Answer>> asked;
  for (const FamilyPrompt& prompt : prompts) asked.push_back(ask(engine, prompt));
  Answers answers;
  for (const std::shared_ptr<Answer>& answer : asked) answers.push_back(answer->wait());
  return answers;
}

class FamiliesServed : public ::testing::TestWithParam<const char*> {};

TEST_P(FamiliesServed, AnswersAreThoseOfTransformers) {
  const FamilyFixture fixture = testing::read_family_fixture(GetParam());
  auto assembly = serve(fixture, "none");
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  Engine* engine = (*assembly)->engine.get();
  Answers expected;
  for (const FamilyPrompt& prompt : fixture.prompts) expected.push_back(prompt.greedy);
  EXPECT_EQ(one_by_one(engine, fixture.prompts), expected);
  for (int round = 0; round < 2; ++round) EXPECT_EQ(together(engine, fixture.prompts), expected) << round;
}

TEST_P(FamiliesServed, QuantizedAnswersAreTheSameUnderAnyLoad) {
  const FamilyFixture fixture = testing::read_family_fixture(GetParam());
  for (const char* quantization : {"int8", "int4"}) {
    SCOPED_TRACE(quantization);
    auto assembly = serve(fixture, quantization);
    ASSERT_TRUE(assembly.ok()) << assembly.status().message();
    Engine* engine = (*assembly)->engine.get();
    const Answers batched = together(engine, fixture.prompts);
    EXPECT_EQ(one_by_one(engine, fixture.prompts), batched) << "alone, their beginnings cached";
    auto fresh = serve(fixture, quantization);
    ASSERT_TRUE(fresh.ok()) << fresh.status().message();
    EXPECT_EQ(one_by_one((*fresh)->engine.get(), fixture.prompts), batched) << "alone";
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FamiliesServed, ::testing::ValuesIn(testing::kFamilies),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace pagoda
