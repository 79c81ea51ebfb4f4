// Of a prompt of any size the log reads no more than it shows.
#include "server/request_log.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/server/server_harness.h"
#include "tests/testing/allocations.h"

namespace pagoda {
namespace {

constexpr std::size_t kHuge = std::size_t{60} << 20;

GenerateRequest completion(std::vector<TextPrompt> prompts) {
  GenerateRequest request;
  request.prompt = std::move(prompts);
  return request;
}

GenerateRequest chat(const std::string& messages) {
  GenerateRequest request;
  ChatPrompt prompt;
  prompt.messages = parse_json(messages).value().as_array();
  request.prompt = std::move(prompt);
  return request;
}

TEST(RequestLog, ClipsCharactersAndIdsBeforeItEscapes) {
  const struct {
    GenerateRequest request;
    int chars;
    const char* shown;
  } cases[] = {
      {completion({"hello"}), -1, R"(["hello"])"},
      {completion({"hello"}), 5, R"(["hello"])"},
      {completion({"hello"}), 4, R"(["hell"])"},
      {completion({"hello"}), 0, "[]"},
      {completion({"h\u00e9llo"}), 2, "[\"h\u00e9\"]"},
      {completion({"\"\"\"\""}), 2, R"(["\"\""])"},
      {completion({"abc", "def", "ghi"}), 4, R"(["abc","d"])"},
      {completion({std::vector<TokenId>{1, 2, 3}}), 2, "[[1,2]]"},
      {completion({std::vector<TokenId>{1, 2, 3}}), -1, "[[1,2,3]]"},
      {chat(R"([{"role":"user","content":"hello"}])"), -1, R"([{"role":"user","content":"hello"}])"},
      {chat(R"([{"role":"user","content":"hello"}])"), 18, R"([{"role":"user","content":"hel"}])"},
      {chat(R"([{"role":"user","content":[{"type":"text","text":"hello"}]}])"), 30,
       R"([{"role":"user","content":[{"type":"text","text":"hel"}]}])"},
  };
  for (const auto& one : cases) EXPECT_EQ(prompt_for_log(one.request, one.chars), one.shown) << one.chars;
  EXPECT_EQ(output_for_log("h\u00e9\n", 2), "\"h\u00e9\"");
}

// An allocation of a good part of it at once fails.
TEST(RequestLog, NothingLargeIsMadeOfSomethingLarge) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  const std::string text(kHuge, '"');
  const GenerateRequest requests[] = {
      completion({text}),
      completion({std::vector<TokenId>(kHuge / sizeof(TokenId), 7)}),
      chat(R"([{"role":"user","content":)" + write_json(Value(text)) + "}]"),
      chat(R"([{"role":"user","content":[{"type":"text","text":)" + write_json(Value(text)) + "}]}]"),
  };
  for (int chars : {100, 1 << 30, -1}) {
    for (const GenerateRequest& request : requests) {
      const int64_t before = num_failures;
      smallest_failure = 8 << 20;
      allocations_may_fail = true;
      std::string shown;
      try {
        shown = prompt_for_log(request, chars) + output_for_log(text, chars);
      } catch (const std::bad_alloc&) {
        ADD_FAILURE() << "asked for too much";
      }
      allocations_may_fail = false;
      smallest_failure = SIZE_MAX;
      EXPECT_EQ(num_failures, before);
      EXPECT_GT(shown.size(), 50U);
      EXPECT_TRUE(chars != 100 || shown.size() < 1000U) << shown.size();
    }
  }
}

TEST(RequestLog, ErrorsQuoteTheBeginning) {
  testing::ServerHarness harness;
  harness.start();
  const std::string name(5 << 20, 'x');
  for (const char* path : {testing::kText, testing::kChat, "/tokenize", "/detokenize"}) {
    const std::string input = path == testing::kChat               ? testing::kUser
                              : std::string(path) == "/detokenize" ? R"("tokens":[1])"
                                                                   : R"("prompt":"hi")";
    HttpResponse response = harness.post(path, R"({"model":")" + name + "\"," + input + "}");
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_LT(response.body.size(), 1000U) << path;
    EXPECT_NE(response.body.find("xxx...` does not exist"), std::string::npos)
        << response.body.substr(0, 500);
  }
}

}  // namespace
}  // namespace pagoda
