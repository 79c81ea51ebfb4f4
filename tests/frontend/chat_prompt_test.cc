#include "frontend/chat_prompt.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace pagoda {
namespace {

constexpr char kChatMl[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
constexpr char kTrims[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content|trim }}<|im_end|>\n{% endfor %}";
// Goes over parts, whatever they are.
constexpr char kParts[] =
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'tool' %}{{ m.content }}{% else %}"
    "{% for part in m.content %}<{{ part.text }}>{% endfor %}{% endif %}{% endfor %}";
// Takes either.
constexpr char kEither[] =
    "{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}<{{ part.text }}>{% endfor %}{% endif %}{% endfor %}";

Result<std::string> render(const std::string& source, const std::string& messages, bool continues = false,
                           const char* format = "auto") {
  ModelInfo model;
  auto parsed = ChatTemplate::parse(source);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  model.chat_template = *parsed;
  if (std::string(format) != "auto") model.content_parts = std::string(format) == "openai";
  ChatPrompt chat;
  chat.messages = parse_json(messages).value().as_array();
  chat.continue_final_message = continues;
  chat.add_generation_prompt = false;
  return render_chat_prompt(model, chat, 0);
}

std::string shown(const Result<std::string>& text) {
  return text.ok() ? *text : text.status().message();
}

std::string assistant(const std::string& text) {
  Object message;
  message.set("role", "assistant");
  message.set("content", text);
  return write_json(Value(Array{Value(message)}));
}

// The prompt ends behind the text, also where the template's own marks hold it, too.
TEST(ChatPrompt, ContinuesTheFinalMessageWhereItEnds) {
  const std::string head = "<|im_start|>assistant\n";
  for (const char* text : {"<", "|", "i", "im_end", "<|im_end|>", "<|im_end|>\n", "assistant", "\n", "a\nb",
                           "  ", "", " a ", "a  \n", "PAGODA", "}}{{ x", "<|im_start|>assistant\n", "é"})
    EXPECT_EQ(shown(render(kChatMl, assistant(text), true)), head + text) << text;
  // A template that trims drops the blanks around the text, but opens the turn where there is nothing else.
  struct Case {
    const char *text, *end;
  };
  for (const Case& c :
       {Case{"<", "<"}, {" a ", "a"}, {"a  \n", "a"}, {"", ""}, {"   ", ""}, {"im_end", "im_end"}})
    EXPECT_EQ(shown(render(kTrims, assistant(c.text), true)), head + c.end) << c.text;
}

TEST(ChatPrompt, ContinuesPartsAndNothing) {
  EXPECT_EQ(shown(render(kParts, R"([{"role":"assistant","content":[{"type":"text","text":"a"},
                                                                    {"type":"text","text":"<"}]}])",
                         true)),
            "[assistant]<a><<");
  EXPECT_EQ(shown(render(kParts, R"([{"role":"assistant","content":"x>"}])", true)), "[assistant]<x>");
  EXPECT_EQ(shown(render(kParts, R"([{"role":"assistant","content":null}])", true)), "[assistant]<");
  EXPECT_EQ(shown(render(kChatMl, R"([{"role":"assistant","content":null}])", true)),
            "<|im_start|>assistant\n");
  EXPECT_EQ(shown(render(kChatMl, R"([{"role":"assistant"}])", true)), "<|im_start|>assistant\n");
  EXPECT_EQ(
      shown(render(kChatMl, R"([{"role":"user","content":"u"},{"role":"assistant","content":"u"}])", true)),
      "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\nu");
}

TEST(ChatPrompt, RefusesToContinueWhatTheTemplateHides) {
  for (const char* hides : {"{{ messages|length }}", "{{ messages[0].content|upper }}",
                            "{{ messages[0].content.split('</think>')[-1] }}"})
    EXPECT_EQ(render(hides, assistant("a</think>b"), true).status().param(), "continue_final_message")
        << hides;
}

TEST(ChatPrompt, ContentIsWhatTheTemplateReads) {
  struct Case {
    const char *messages, *as_string, *as_parts;
  };
  const Case kCases[] = {
      {R"([{"role":"user","content":"a"}])", "[user]a", "[user]<a>"},
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""},
                                     {"type":"text","text":"b"}]}])",
       "[user]a\n\nb", "[user]<a><><b>"},
      {R"([{"role":"user","content":[]}])", "[user]", "[user]"},
      {R"([{"role":"user","content":null}])", "[user]", "[user]"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}])", "[assistant]",
       "[assistant]"},
      // What a tool answered is text for every template.
      {R"([{"role":"tool","content":"18"}])", "[tool]18", "[tool]18"},
      {R"([{"role":"tool","content":[{"type":"text","text":"18"},{"type":"text","text":"deg"}]}])",
       "[tool]18\ndeg", "[tool]18\ndeg"},
      {R"([{"role":"tool","content":null}])", "[tool]", "[tool]"},
      {R"([{"role":"ipython","content":"5"}])", "[ipython]5", "[ipython]<5>"},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(shown(render(kEither, c.messages, false, "string")), c.as_string) << c.messages;
    EXPECT_EQ(shown(render(kEither, c.messages, false, "openai")), c.as_parts) << c.messages;
    EXPECT_EQ(shown(render(kParts, c.messages)), c.as_parts) << c.messages;
    // One text is a string, several are a list.
    bool several = std::string_view(c.as_parts).find("><") != std::string_view::npos;
    EXPECT_EQ(shown(render(kEither, c.messages)), several ? c.as_parts : c.as_string) << c.messages;
  }
}

// As transformers does, unless the template can not do with none.
TEST(ChatPrompt, NoToolsAreNone) {
  const char* messages = R"([{"role":"user","content":"a"}])";
  EXPECT_EQ(shown(render("{{ tools is none }}", messages)), "True");
  EXPECT_EQ(shown(render("{% for tool in tools %}{{ tool }}{% endfor %}{{ messages[0].content }}", messages)),
            "a");
}

TEST(ChatPrompt, EachTemplateGetsContentAsItWants) {
  ModelInfo model;
  model.chat_template = ChatTemplate::parse("plain {{ messages[0].content }}").value();
  model.tool_chat_template = ChatTemplate::parse(kParts).value();
  ChatPrompt chat;
  chat.messages = parse_json(R"([{"role":"user","content":"a"}])").value().as_array();
  EXPECT_EQ(*render_chat_prompt(model, chat, 0), "plain a");
  chat.tools = Value(Array{});
  EXPECT_EQ(*render_chat_prompt(model, chat, 0), "[user]<a>");
}

// What a template that takes parts can tell of; the others show the names.
TEST(ChatPrompt, AnAnswerRefersToTools) {
  const std::string kShows =
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
      "<{{ p.type }} {{ p.name or p.text }}>{% endfor %}{% endif %}{% endfor %}";
  struct Case {
    const char *messages, *as_parts, *as_string;
  };
  const Case kCases[] = {
      {R"([{"role":"tool","content":[{"type":"tool_reference","name":"f"}]}])", "<tool_reference f>", "f"},
      {R"([{"role":"tool","content":[{"type":"text","text":"a"},{"type":"tool_reference","name":"f"}]}])",
       "<text a><tool_reference f>", "a\nf"},
      {R"([{"role":"user","content":[{"type":"tool_reference","name":"f"}]}])", "<tool_reference f>", "f"},
      {R"([{"role":"system","content":[{"type":"tool_reference","name":"x-anthropic-billing-header"}]}])",
       "<tool_reference x-anthropic-billing-header>", "x-anthropic-billing-header"},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(shown(render(kShows, c.messages)), c.as_parts) << c.messages;
    EXPECT_EQ(shown(render(kShows, c.messages, false, "openai")), c.as_parts) << c.messages;
    EXPECT_EQ(shown(render(kShows, c.messages, false, "string")), c.as_string) << c.messages;
  }
  EXPECT_EQ(shown(render(kShows, R"([{"role":"assistant","content":[{"type":"tool_reference","name":"f"}]}])",
                         true)),
            "<tool_reference f");
}

// Whose fault a template's refusal is no field tells: vLLM names none.
TEST(ChatPrompt, RefusalsHaveNoParam) {
  struct Case {
    Value own;  // the template that the request brings
    bool trusted;
    const char* expected;  // part of what is said, or the prompt
  };
  const char* kUntrusted =
      "Chat template is passed with request, but --trust-request-chat-template is not set";
  const Case kCases[] = {
      {Value(), false, "the model's"},
      {"x", false, kUntrusted},
      {"", false, kUntrusted},
      {"auto", false, kUntrusted},
      {5, false, kUntrusted},
      {"{% if %}", false, kUntrusted},
      {Value(), true, "the model's"},
      {"x", true, "x"},
      {"", true, "the model's"},
      {"auto", true, "the model's"},
      {5, true, "expected a string"},
      {"{% if %}", true, "TemplateSyntaxError"},
      {"{% include 'x' %}", true, "'include' is not available"},
      {"{{ raise_exception('boom') }}", true, "boom"},
      {"{{ a.b }}", true, "'a' is undefined"},
      {"{{ 1 + 'a' }}", true, "unsupported operand"},
      {"{{ messages[5].content }}", true, "has no element 5"},
  };
  for (const Case& c : kCases) {
    ModelInfo model;
    model.chat_template = ChatTemplate::parse("the model's").value();
    model.trust_request_chat_template = c.trusted;
    ChatPrompt chat;
    chat.messages = parse_json(R"([{"role":"user","content":"a"}])").value().as_array();
    chat.chat_template = c.own;
    Result<std::string> prompt = render_chat_prompt(model, chat, 0);
    EXPECT_NE(shown(prompt).find(c.expected), std::string::npos) << shown(prompt);
    EXPECT_TRUE(prompt.ok() || prompt.status().param().empty()) << shown(prompt);
  }
}

TEST(ChatPrompt, TemplatesWithoutADefaultAreNamed) {
  ModelInfo model;
  ChatPrompt chat;
  chat.messages = parse_json(R"([{"role":"user","content":"a"}])").value().as_array();
  EXPECT_NE(shown(render_chat_prompt(model, chat, 0)).find("has no chat template"), std::string::npos);
  model.chat_template_names = {"rag", "tool_use"};
  model.tool_chat_template = ChatTemplate::parse("for tools").value();
  const Result<std::string> refused = render_chat_prompt(model, chat, 0);
  for (const char* part : {"with no default", "--chat-template", "'rag', 'tool_use'"})
    EXPECT_NE(shown(refused).find(part), std::string::npos) << shown(refused);
  EXPECT_EQ(refused.status().param(), "");
  chat.tools = Value(Array{});
  EXPECT_EQ(shown(render_chat_prompt(model, chat, 0)), "for tools");
}

TEST(ChatPrompt, DevelopersBecomeSystemWhereTheTemplateKnowsNone) {
  const std::string kPlain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  struct Case {
    const char *messages, *expected;
  };
  const Case kCases[] = {
      {R"([{"role":"developer","content":"d"},{"role":"user","content":"u"}])", "[system]d[user]u"},
      {R"([{"role":"system","content":"s"},{"role":"developer","content":"d"},{"role":"user","content":"u"}])",
       "[system]s\n\nd[user]u"},
      {R"([{"role":"user","content":"u"},{"role":"developer","content":"d"}])", "[system]d[user]u"},
      {R"([{"role":"system","content":""},{"role":"developer","content":"d"}])", "[system]d"},
      // Without a developer, systems stay where they are.
      {R"([{"role":"user","content":"u"},{"role":"system","content":"s"}])", "[user]u[system]s"},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(shown(render(kPlain, c.messages)), c.expected) << c.messages;
    std::string knows = kPlain + "{% if messages[0].role == 'developer' %}!{% endif %}";
    EXPECT_EQ(shown(render(knows, R"([{"role":"developer","content":"d"}])")), "[developer]d!");
  }
}

TEST(ChatPrompt, DropsTheBillingLineOfSystemMessages) {
  const std::string kLine = "x-anthropic-billing-header: cc_version=2.1; cch=abcde;";
  struct Case {
    std::string role, content, expected;
  };
  const Case kCases[] = {
      {"system", kLine + "\nYou are Claude.", "You are Claude."},
      {"system", kLine + "\n\nTwo lines on", "\nTwo lines on"},
      {"system", kLine, ""},
      {"system", kLine + "\n", ""},
      {"system", "You are.\n" + kLine, "You are.\n" + kLine},
      {"system", "x-anthropic", "x-anthropic"},
      {"user", kLine + "\nhi", kLine + "\nhi"},
  };
  for (const Case& c : kCases) {
    Object message;
    message.set("role", c.role);
    message.set("content", c.content);
    std::string messages = write_json(Value(Array{Value(message)}));
    EXPECT_EQ(shown(render("{{ messages[0].content }}", messages)), c.expected) << c.content;
  }
  EXPECT_EQ(shown(render(kParts, R"([{"role":"system","content":[
                {"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"You are."},
                {"type":"text","text":"x-anthropic-billing-header: b\nMore."}]}])")),
            "[system]<You are.><More.>");
}

}  // namespace
}  // namespace pagoda
