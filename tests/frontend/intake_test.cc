#include "frontend/intake.h"

#include <gtest/gtest.h>

#include "tests/frontend/asking.h"

namespace pagoda {
namespace {

using testing::ask;
using testing::bytes_of;
using testing::chat_request;
using testing::kBos;
using testing::kEos;
using testing::kImStart;
using testing::Question;
using testing::ScriptedEngine;
using testing::text_request;
using testing::Whole;

TEST(Intake, AnswersATextAndAChat) {
  ScriptedEngine scripted;
  scripted.start();
  Question request = text_request();
  request.return_token_ids = true;
  Whole whole = ask(&scripted, request);
  const TextDelta& answer = whole.choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hello, world.");
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(answer.stop_reason));
  EXPECT_EQ(answer.prompt_token_ids, (std::vector<TokenId>{kBos, 'h', 'i'}));
  EXPECT_EQ(answer.counts.num_prompt, 3);
  EXPECT_EQ(answer.counts.num_output, 14);  // with the end token
  EXPECT_EQ(answer.token_ids.back(), kEos);

  request = chat_request();
  request.return_token_ids = true;
  whole = ask(&scripted, request);
  std::vector<TokenId> prompt;
  scripted.model.tokenizer->encode("<s><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", {}, &prompt);
  EXPECT_EQ(whole.choices.at({0, 0}).prompt_token_ids, prompt);
  EXPECT_EQ(prompt[1], kImStart);
}

TEST(Intake, TruncatesFromTheSideThatIsAskedFor) {
  ScriptedEngine scripted;
  scripted.start();
  Question request = text_request("abcdef");
  request.return_token_ids = true;
  request.add_special_tokens = false;
  request.truncate_prompt_tokens = 2;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ef"));
  request.truncate_right = true;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ab"));
  // A text that is far too long is cut before its tokens are looked for.
  request.prompt = std::vector<TextPrompt>{"ab" + std::string(40 << 20, 'x') + "yz"};
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ab"));
  request.truncate_right = false;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids, bytes_of("yz"));
}

// All but one of the context's 256 tokens, whatever is asked for.
TEST(Intake, TruncatesToTheContext) {
  ScriptedEngine scripted;
  scripted.start();
  Question request = text_request("ab" + std::string(253, 'x') + "yz");
  Question chat = chat_request();
  for (Question* fitted : {&request, &chat}) {
    fitted->truncate_prompt_tokens = -1;
    fitted->return_token_ids = true;
    fitted->sampling.max_tokens = 250;
  }
  request.add_special_tokens = false;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids,
            bytes_of(std::string(253, 'x') + "yz"));
  request.truncate_right = true;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_token_ids,
            bytes_of("ab" + std::string(253, 'x')));
  const SharedList<TokenId> fitted = ask(&scripted, chat).choices.at({0, 0}).prompt_token_ids;
  chat.truncate_prompt_tokens = 0;
  EXPECT_EQ(fitted, ask(&scripted, chat).choices.at({0, 0}).prompt_token_ids);
}

TEST(Intake, FullQueueIsRefusedBeforeTheTextIsLookedAt) {
  ScriptedEngine scripted;
  scripted.config.scheduler.max_num_queued_reqs = 4;
  std::mutex gate;
  scripted.on_step = [&] {
    std::lock_guard wait(gate);
    return Status();
  };
  scripted.start();
  gate.lock();
  Question four = text_request();
  four.n = 4;
  auto stream = admit(scripted.intake.get(), four, [] {});
  ASSERT_TRUE(stream.ok());
  Question bad = text_request(std::string(1 << 20, 'x'));  // would be 400 if it were looked at
  Whole whole = ask(&scripted, bad);
  EXPECT_EQ(whole.refused.code(), StatusCode::kExhausted);
  EXPECT_GT(whole.refused.retry_after_ms(), 0);
  four.n = 5;  // never possible
  EXPECT_EQ(ask(&scripted, four).refused.code(), StatusCode::kInvalidArgument);
  gate.unlock();
  *stream = OutputStream();  // dropping the stream cancels
  EXPECT_TRUE(scripted.engine->drain(60));
  EXPECT_EQ(scripted.engine->stats().kv_usage, 0);
}

TEST(Intake, AnswersForTheMemoryOfARequestUntilItsPromptIsGone) {
  ScriptedEngine scripted;
  std::mutex steps, pool;
  scripted.on_step = [&] {
    std::lock_guard wait(steps);
    return Status();
  };
  scripted.start();
  scripted.restart_text_pool(1);
  auto budget = std::make_shared<MemoryBudget>();
  budget->configure(std::size_t{1} << 30, nullptr);
  std::unique_lock step_lock(steps), pool_lock(pool);
  ASSERT_TRUE(scripted.text_pool->submit([&] { std::lock_guard wait(pool); }).ok());
  std::vector<OutputStream> streams;
  // One that the engine takes, and one that is refused.
  for (const char* chat_template : {"", "the client's own is refused"}) {
    Question request;
    ChatPrompt chat;
    chat.messages = parse_json(R"([{"role":"user","content":"x"}])")->as_array();
    chat.template_kwargs.append("large", Array(100'000));
    if (*chat_template != 0) chat.chat_template = chat_template;
    request.prompt = std::move(chat);
    request.memory = std::make_shared<MemoryShare>(budget);
    ASSERT_TRUE(request.memory->hold(request.GenerateRequest::heap_bytes()).ok());
    auto stream = admit(scripted.intake.get(), std::move(request), [] {});
    ASSERT_TRUE(stream.ok()) << stream.status().message();
    streams.push_back(std::move(*stream));
  }
  EXPECT_GE(budget->used(), 2 * 100'000 * sizeof(Value)) << "while they wait";
  pool_lock.unlock();
  scripted.await_text_pool();
  EXPECT_TRUE(streams[0].admitted());
  EXPECT_EQ(budget->used(), 0u) << "the streams are still there, their prompts are not";
  step_lock.unlock();
  streams.clear();
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Intake, APromptsTokensAreHeldOnce) {
  ScriptedEngine scripted;
  scripted.start();
  Question request = text_request();
  request.n = 3;
  request.return_token_ids = true;
  const Whole whole = ask(&scripted, request);
  ASSERT_EQ(whole.choices.size(), 3u);
  const SharedList<TokenId>& first = whole.choices.at({0, 0}).prompt_token_ids;
  EXPECT_FALSE(first.empty());
  for (int choice : {1, 2}) EXPECT_EQ(whole.choices.at({0, choice}).prompt_token_ids.begin(), first.begin());
}

TEST(Intake, PromptTokensAreBounded) {
  ScriptedEngine scripted;
  scripted.config.scheduler.max_num_queued_tokens = 40;
  std::mutex gate;
  scripted.on_step = [&] {
    std::lock_guard wait(gate);
    return Status();
  };
  scripted.start();
  Question large = text_request();
  large.prompt = std::vector<TextPrompt>{std::vector<TokenId>(30, 'a'), std::vector<TokenId>(30, 'b')};
  Whole whole = ask(&scripted, large);
  ASSERT_FALSE(whole.error.ok());
  EXPECT_EQ(whole.error.code(), StatusCode::kInvalidArgument)
      << "all of its prompts count: it would be refused for ever";
  EXPECT_EQ(whole.error.param(), "prompt");

  gate.lock();
  Question some = text_request();
  some.prompt = std::vector<TextPrompt>{std::vector<TokenId>(30, 'a')};
  scripted.restart_text_pool(1);
  auto stream = admit(scripted.intake.get(), some, [] {});
  ASSERT_TRUE(stream.ok());
  scripted.await_text_pool();  // it is inside
  whole = ask(&scripted, some);
  ASSERT_FALSE(whole.error.ok());
  EXPECT_EQ(whole.error.code(), StatusCode::kExhausted);
  EXPECT_GE(whole.error.retry_after_ms(), 1000);
  gate.unlock();
  *stream = OutputStream();
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Intake, RendersChats) {
  ScriptedEngine scripted;
  scripted.start();
  ChatPrompt chat = std::get<ChatPrompt>(chat_request(" say it ").prompt);
  EXPECT_EQ(*scripted.intake->render_chat(chat),
            "<s><|im_start|>user\n say it <|im_end|>\n<|im_start|>assistant\n");
  chat.add_generation_prompt = false;
  chat.continue_final_message = true;
  EXPECT_EQ(*scripted.intake->render_chat(chat), "<s><|im_start|>user\n say it ");
  chat.messages[0].as_object().set("content", Value(Array{Value(Object()), Value(Object())}));
  for (int i : {0, 1}) {
    Object part;
    part.set("type", "text");
    part.set("text", i == 0 ? "a" : "b");
    chat.messages[0].as_object().find("content")->as_array()[static_cast<std::size_t>(i)] =
        Value(std::move(part));
  }
  EXPECT_EQ(*scripted.intake->render_chat(chat), "<s><|im_start|>user\na\nb");
  Question request = chat_request();
  EXPECT_EQ(scripted.intake->tokenize(request)->front(), kBos);
  EXPECT_EQ(*scripted.intake->detokenize({kBos, 'h', 'i'}), "<s>hi");
  EXPECT_EQ(scripted.intake->detokenize({262}).status().param(), "tokens");
  std::get<ChatPrompt>(request.prompt).template_kwargs.set("messages", "x");
  EXPECT_TRUE(scripted.intake->tokenize(request).ok()) << "what the template needs can not be replaced";
}

}  // namespace
}  // namespace pagoda
