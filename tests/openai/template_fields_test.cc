// What a request says to the chat template, beside its messages.
#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/openai/bodies.h"

namespace pagoda {
namespace {

using testing::chat;
using testing::chat_body;

// Templates count on members that a client need not send: where vLLM's schema has them, as it fills them in.
TEST(TemplateFields, ToolsAreCompletedForTheTemplate) {
  struct Case {
    const char *sent, *shown;
  };
  const Case kCases[] = {
      {R"({"function":{"name":"f"}})",
       R"({"type":"function","function":{"name":"f","description":null,"parameters":null}})"},
      {R"({"function":{"name":"f"},"type":"function"})",
       R"({"function":{"name":"f","description":null,"parameters":null},"type":"function"})"},
      {R"({"type":"function","function":{"name":"f","description":"d"}})",
       R"({"type":"function","function":{"name":"f","description":"d","parameters":null}})"},
      {R"({"type":"function","function":{"name":"f","parameters":{"z":1,"a":{}}}})",
       R"({"type":"function","function":{"name":"f","description":null,"parameters":{"z":1,"a":{}}}})"},
      {R"({"type":"function","function":{"parameters":{},"name":"f"}})",
       R"({"type":"function","function":{"parameters":{},"name":"f","description":null}})"},
      {R"({"type":"function","function":{"description":"d","name":"f"}})",
       R"({"type":"function","function":{"description":"d","parameters":null,"name":"f"}})"},
      {R"({"type":"function","function":{"parameters":{},"description":"d","name":"f"}})",
       R"({"type":"function","function":{"parameters":{},"description":"d","name":"f"}})"},
      {R"({"type":"function","function":{"name":"f","parameters":null,"strict":null,"defer_loading":null}})",
       R"({"type":"function","function":{"name":"f","description":null,"parameters":null}})"},
      {R"({"type":"function","function":{"strict":"yes","name":"f"}})",
       R"({"type":"function","function":{"strict":true,"name":"f","description":null,"parameters":null}})"},
      {R"({"function":{"name":"f","input_schema":{}},"type":"function","x":1,"defer_loading":1})",
       R"({"function":{"name":"f","description":null,"parameters":null,"defer_loading":true},)"
       R"("type":"function","defer_loading":true})"},
      {R"({"type":"function","function":{"name":"f","defer_loading":false},"defer_loading":true})",
       R"({"type":"function","function":{"name":"f","description":null,"parameters":null,)"
       R"("defer_loading":false},"defer_loading":true})"},
  };
  for (const Case& c : kCases) {
    const std::string tools = R"("tools":[)" + std::string(c.sent) + "]";
    ParsedRequest asked = chat(chat_body(tools + R"(,"tool_choice":"none")"));
    EXPECT_EQ(write_json(std::get<ChatPrompt>(asked.generate.prompt).tools),
              "[" + std::string(c.shown) + "]");
    GenerateRequest told = parse_tokenize_request(chat_body(tools), {}).value().request;
    EXPECT_EQ(write_json(std::get<ChatPrompt>(told.prompt).tools), "[" + std::string(c.shown) + "]");
  }
  GenerateRequest none = parse_tokenize_request(chat_body(R"("tools":[])"), {}).value().request;
  EXPECT_EQ(write_json(std::get<ChatPrompt>(none.prompt).tools), "[]");
}

// null and "auto" are no choice of a variable, whichever it is.
TEST(TemplateFields, TemplateArgumentsThatAreNotSet) {
  struct Case {
    const char *fields, *expected;
  };
  const Case kCases[] = {
      {R"("chat_template_kwargs":{"enable_thinking":null,"thinking":"auto","x":false})", R"({"x":false})"},
      {R"("chat_template_kwargs":{"reasoning_effort":null})", "{}"},
      {R"("chat_template_kwargs":{"reasoning_effort":"auto"},"reasoning_effort":"low")",
       R"({"reasoning_effort":"low","enable_thinking":true})"},
      {R"("chat_template_kwargs":{"enable_thinking":null},"reasoning_effort":"low")",
       R"({"reasoning_effort":"low"})"},
      {R"("chat_template_kwargs":{"documents":null,"messages":null,"tools":"auto"})", "{}"},
      {R"("chat_template_kwargs":{"a":"","b":0,"c":[],"d":{},"e":"Auto","f":["auto",null]})",
       R"({"a":"","b":0,"c":[],"d":{},"e":"Auto","f":["auto",null]})"},
  };
  for (const Case& c : kCases) {
    ParsedRequest asked = chat(chat_body(c.fields));
    EXPECT_EQ(write_json(Value(std::get<ChatPrompt>(asked.generate.prompt).template_kwargs)), c.expected)
        << c.fields;
    GenerateRequest told = parse_tokenize_request(chat_body(c.fields), {}).value().request;
    EXPECT_EQ(write_json(Value(std::get<ChatPrompt>(told.prompt).template_kwargs)), c.expected) << c.fields;
  }
}

// Whether the server takes it is not known here, so that nothing of it is lost.
TEST(TemplateFields, TemplatesThatAreBrought) {
  struct Case {
    const char *fields, *expected;
  };
  const Case kCases[] = {
      {R"("chat_template":"x")", R"("x")"},
      {R"("chat_template":"")", R"("")"},
      {R"("chat_template":null)", "null"},
      {R"("chat_template_kwargs":{"chat_template":"x"})", R"("x")"},
      {R"("chat_template_kwargs":{"chat_template":"auto"})", R"("auto")"},
      {R"("chat_template_kwargs":{"chat_template":5})", "5"},
      {R"("chat_template_kwargs":{"chat_template":null})", "null"},
      {R"("chat_template_kwargs":{"chat_template":"x"},"chat_template":"y")", R"("y")"},
      {R"("chat_template_kwargs":{"chat_template":"x"},"chat_template":"")", R"("x")"},
  };
  for (const Case& c : kCases) {
    ParsedRequest asked = chat(chat_body(c.fields));
    EXPECT_EQ(write_json(std::get<ChatPrompt>(asked.generate.prompt).chat_template), c.expected) << c.fields;
  }
}

}  // namespace
}  // namespace pagoda
