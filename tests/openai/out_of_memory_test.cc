// Whichever allocation fails while a request is read or an answer written: std::bad_alloc, and nothing is
// broken.
#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "openai/requests.h"
#include "tests/testing/failing_new.h"

namespace pagoda {
namespace {

constexpr int kAllocationsMax = 5000;

// True: without a failure. False: it ended with bad_alloc.
bool run(int k, const std::function<void()>& work) {
  const int64_t before = num_failures.load();
  allocations_may_fail = true;
  allocations_until_failure = k;
  bool threw = false;
  try {
    work();
  } catch (const std::bad_alloc&) {
    threw = true;
  }
  allocations_until_failure = -1;
  allocations_may_fail = false;
  EXPECT_EQ(threw, num_failures.load() > before) << k;
  return !threw;
}

void fail_each(const std::function<void()>& work) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  set_log_level(LogLevel::kInfo);  // the log is made by its first use: a server's is there by now
  int k = 0;
  while (k < kAllocationsMax && !run(k, work)) ++k;
  EXPECT_GT(k, 1) << "nothing has failed";
  EXPECT_LT(k, kAllocationsMax);
}

const std::string kLong(100, 'x');  // no small string

TEST(OutOfMemory, TextCompletions) {
  for (const std::string& prompt : {"\"" + kLong + "\"", "[\"" + kLong + "\",\"b\"]", std::string("[1,2,3]"),
                                    std::string("[[1,2],[3]]")}) {
    const std::string body = R"({"prompt":)" + prompt + R"(,"stop":["a stop string that is long"],"n":2,)" +
                             R"("logit_bias":{"5":1},"bad_words":["a word that is quite long"],"user":"u"})";
    fail_each([&] { EXPECT_TRUE(parse_completion_request(body, {}).ok()); });
  }
}

TEST(OutOfMemory, Chats) {
  const std::string body =
      R"({"messages":[{"role":"system","content":")" + kLong +
      R"("},{"role":"user","content":[{"type":"text","text":"a part that is quite long"},{"type":"text","text":"b"}]},)" +
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",)" +
      R"("function":{"name":"f","arguments":"{\"a\":[1,2]}"}}]},{"role":"tool","tool_call_id":"call_1","content":"18"}],)" +
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"none",)" +
      R"("chat_template_kwargs":{"a":{"b":[1,"c"]}},"documents":[{"title":"t","text":"d"}],"stream":true})";
  fail_each([&] { EXPECT_TRUE(parse_chat_request(body, {}).ok()); });
}

TEST(OutOfMemory, OtherRoutes) {
  fail_each([] { EXPECT_TRUE(parse_tokenize_request(R"({"prompt":")" + kLong + R"("})", {}).ok()); });
  fail_each([] {
    EXPECT_TRUE(
        parse_tokenize_request(R"({"messages":[{"role":"user","content":")" + kLong + R"("}]})", {}).ok());
  });
  fail_each([] { EXPECT_TRUE(parse_detokenize_request(R"({"tokens":[1,2,3]})").ok()); });
  fail_each(
      [] { EXPECT_TRUE(parse_abort_request(R"({"request_ids":["a request id that is long"]})").ok()); });
}

// Refusals quote what was sent.
TEST(OutOfMemory, Refusals) {
  for (const char* field :
       {R"("temperature":"warm and not a number at all")", R"("n":-7)", R"("stop":{"a":1})",
        R"("logit_bias":{"a key that is no number":1})", R"("unknown field of a client":1,"n":0)"})
    fail_each([&] {
      EXPECT_FALSE(parse_completion_request(R"({"prompt":"hi",)" + std::string(field) + "}", {}).ok());
    });
}

}  // namespace
}  // namespace pagoda
