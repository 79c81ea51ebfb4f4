// Chats on their way through the server, from the body of a request to the prompt, against what transformers
// makes of the same conversations with real templates.
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>

#include "base/json.h"
#include "base/mmap.h"
#include "frontend/chat_prompt.h"
#include "openai/requests.h"
#include "tests/server/server_harness.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace {

constexpr int64_t kNow = 1721952000;
constexpr char kDate[] = "26 Jul 2024";  // which that is

// The expected texts have the date in one spelling, whatever format their templates ask for.
std::string with_one_date(std::string text, int64_t now = kNow) {
  const auto clock = static_cast<std::time_t>(now);
  std::tm day{};
  ::gmtime_r(&clock, &day);
  for (const char* format : {"%Y-%m-%d", "%B %d, %Y", "%d %b %Y"}) {
    char date[64];
    const std::size_t size = std::strftime(date, sizeof date, format, &day);
    for (std::size_t at = 0; (at = text.find(date, at)) != std::string::npos; at += std::strlen(kDate))
      text.replace(at, size, kDate);
  }
  return text;
}

Result<std::string> prompt_of(const ModelInfo& model, const Object& body) {
  PAGODA_TRY(ParsedRequest request, parse_chat_request(write_json(Value(body)), {}));
  return render_chat_prompt(model, std::get<ChatPrompt>(request.generate.prompt), kNow);
}

ModelInfo model_with(const std::string& template_path) {
  ModelInfo model;
  model.served_names = {"m"};
  model.bos_token = "<s>";
  model.eos_token = "</s>";
  auto parsed = ChatTemplate::parse(read_file(template_path).value());
  EXPECT_TRUE(parsed.ok()) << template_path << ": " << parsed.status().message();
  model.chat_template = *parsed;
  return model;
}

// The context of a template as the body of a request: what the API has no field for is a template argument.
Object body_of(const Object& context) {
  Object body, arguments;
  for (const Member& member : context) {
    if (member.key == "bos_token" || member.key == "eos_token") continue;
    bool field = member.key == "messages" || member.key == "tools" || member.key == "add_generation_prompt";
    (field ? body : arguments).set(member.key, member.value);
    if (member.key == "tools") body.set("tool_choice", "none");  // shown to the template, not called
  }
  if (!arguments.empty()) body.set("chat_template_kwargs", std::move(arguments));
  return body;
}

TEST(ChatVectors, TheServerRendersAsTransformersDoes) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  Result<Value> vectors = parse_json(read_file(dir + "/vectors.json").value());
  ASSERT_TRUE(vectors.ok());
  std::map<std::string, ModelInfo> models;
  for (const Value& vector : vectors->as_array()) {
    const std::string& name = vector.find("template")->as_string();
    if (!models.contains(name)) models.emplace(name, model_with(dir + "/" + name));
    std::string where = name + " / " + vector.find("case")->as_string();
    Result<std::string> text = prompt_of(models.at(name), body_of(vector.find("context")->as_object()));
    const Value* error = vector.find("error");
    if (error != nullptr)
      EXPECT_TRUE(!text.ok() && text.status().message().find(error->as_string() + ": ") != std::string::npos)
          << where << ": expected " << error->as_string() << ", got "
          << (text.ok() ? *text : text.status().message());
    else
      EXPECT_EQ(text.ok() ? with_one_date(*text) : text.status().message(),
                vector.find("expected")->as_string())
          << where;
  }
  EXPECT_GE(vectors->as_array().size(), 455u);
}

// A server whose model has room for the longest prompt in bytes, which are its tokens.
struct ChatHarness : testing::ServerHarness {
  explicit ChatHarness(std::shared_ptr<const ChatTemplate> chat_template) {
    scripted.model.chat_template = std::move(chat_template);
    scripted.model.max_model_len = scripted.config.scheduler.max_model_len = 1 << 14;
    scripted.config.scheduler.max_num_batched_tokens = 1 << 14;
    scripted.num_blocks = 1 << 10;
    scripted.model.trust_request_chat_template = true;
    start();
  }
  // The text that these ids stand for, or what the server says instead of telling them.
  std::string prompt_of(const std::string& path, const char* ids, Object body) const {
    HttpResponse response = post(path, write_json(Value(std::move(body))));
    Value answer = testing::json(response.body);
    if (response.status != 200) return testing::at(answer, {"error", "message"}).as_string();
    std::vector<TokenId> tokens;
    for (const Value& id : testing::at(answer, {ids}).as_array())
      tokens.push_back(static_cast<TokenId>(id.as_int()));
    return scripted.model.tokenizer->decode(tokens, false);
  }
};

void expect_prompt(const Value& vector, const std::string& prompt, int64_t began, const std::string& where) {
  const Value* error = vector.find("error");
  if (error != nullptr)
    EXPECT_NE(prompt.find("The chat template refused the request: " + error->as_string() + ": "),
              std::string::npos)
        << where << ": expected " << error->as_string() << ", got " << prompt;
  else
    EXPECT_EQ(with_one_date(with_one_date(prompt, began), std::time(nullptr)),
              vector.find("expected")->as_string())
        << where;
}

// Over HTTP: what the model is given to go on from, with the template of the server, and what /tokenize says
// with the same template sent along.
TEST(ChatVectors, TheModelIsShownWhatTransformersRenders) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  Result<Value> vectors = parse_json(read_file(dir + "/vectors.json").value());
  ASSERT_TRUE(vectors.ok());
  std::map<std::string, std::vector<const Value*>> by_template;
  for (const Value& vector : vectors->as_array())
    by_template[vector.find("template")->as_string()].push_back(&vector);
  ChatHarness other(testing::ScriptedEngine().model.chat_template);
  const std::time_t began = std::time(nullptr);
  std::size_t num_shown = 0;
  for (const auto& [name, of_template] : by_template) {
    ChatHarness harness(model_with(dir + "/" + name).chat_template);
    const std::string source = read_file(dir + "/" + name).value();
    for (const Value* vector : of_template) {
      const std::string where = name + " / " + vector->find("case")->as_string();
      Object body = body_of(vector->find("context")->as_object());
      Object tokenize = body;
      tokenize.set("chat_template", source);
      expect_prompt(*vector, other.prompt_of("/tokenize", "tokens", std::move(tokenize)), began,
                    where + ", /tokenize");
      body.set("max_tokens", 1);
      body.set("return_token_ids", true);
      expect_prompt(*vector, harness.prompt_of(testing::kChat, "prompt_token_ids", std::move(body)), began,
                    where);
      ++num_shown;
    }
  }
  EXPECT_GE(num_shown, 455U);
  EXPECT_GE(by_template.size(), 65U);
}

const char kCall[] =
    R"("tool_calls":[{"id":"abcdef123","type":"function","function":{"name":"f","arguments":{"a":1}}}])";

// A conversation with one call and its answer; `assistant` and `tool` are members of those two messages.
Object conversation(const std::string& assistant, const std::string& tool) {
  return parse_json(R"({"messages":[{"role":"user","content":"Weather?"},{"role":"assistant")" + assistant +
                    "," + kCall + R"(},{"role":"tool","tool_call_id":"abcdef123","name":"f")" + tool + "}]}")
      .value()
      .as_object();
}

TEST(ChatVectors, OtherSpellingsOfAConversationRenderAlike) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  const std::string kEmpty = R"(,"content":"")", k18 = R"(,"content":"18")";
  const std::pair<Object, Object> kAlike[] = {
      {conversation(R"(,"content":null)", k18), conversation("", k18)},
      {conversation(kEmpty, R"(,"content":[{"type":"text","text":"18"}])"), conversation(kEmpty, k18)},
      {conversation(kEmpty, R"(,"content":["18","deg"])"), conversation(kEmpty, R"(,"content":"18\ndeg")")},
      {conversation(kEmpty, R"(,"content":[{"type":"text","text":"18"},{"type":"text","text":"deg"}])"),
       conversation(kEmpty, R"(,"content":"18\ndeg")")},
      {conversation(kEmpty, R"(,"content":null)"), conversation(kEmpty, kEmpty)},
      {conversation(kEmpty, ""), conversation(kEmpty, kEmpty)},
  };
  int rendered = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".jinja") continue;
    ModelInfo model = model_with(entry.path().string());
    for (const auto& [sent, plain] : kAlike) {
      Result<std::string> one = prompt_of(model, sent), other = prompt_of(model, plain);
      std::string where = entry.path().filename().string() + ": " + write_json(Value(sent));
      EXPECT_EQ(one.ok() ? *one : one.status().message(), other.ok() ? *other : other.status().message())
          << where;
      rendered += one.ok();
    }
    // Null beside calls is never seen: neither as a word nor as an error that "" does not give.
    Result<std::string> null = prompt_of(model, kAlike[0].first);
    Result<std::string> empty = prompt_of(model, conversation(kEmpty, k18));
    EXPECT_EQ(null.ok(), empty.ok()) << entry.path().filename() << ": " << null.status().message();
    if (!null.ok() || !empty.ok()) continue;
    for (const char* word : {"None", "null", "Undefined"})
      EXPECT_EQ(null->find(word) == std::string::npos, empty->find(word) == std::string::npos)
          << entry.path().filename() << ": " << *null;
  }
  EXPECT_GT(rendered, 200);
}

// A developer is a system message wherever the template does not know the role.
TEST(ChatVectors, DevelopersAreHeard) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".jinja") continue;
    ModelInfo model = model_with(entry.path().string());
    auto ask = [&](const std::string& role) {
      return prompt_of(model, parse_json(R"({"messages":[{"role":")" + role +
                                         R"(","content":"Be terse."},{"role":"user","content":"Hi"}]})")
                                  .value()
                                  .as_object());
    };
    Result<std::string> developer = ask("developer"), system = ask("system");
    if (model.chat_template->knows_developer_role() || !system.ok()) continue;
    EXPECT_EQ(developer.ok() ? *developer : developer.status().message(), *system) << entry.path().filename();
  }
}

// The turn that is continued ends the prompt, with every template that shows it.
TEST(ChatVectors, FinalMessagesAreContinued) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  int continued = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".jinja") continue;
    ModelInfo model = model_with(entry.path().string());
    for (const std::string text : {"Sure, here", "<", "|", "i", "im_end", "assistant"}) {
      Object body =
          parse_json(R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":")" + text +
                     R"("}],"add_generation_prompt":false,"continue_final_message":true})")
              .value()
              .as_object();
      Result<std::string> prompt = prompt_of(model, body);
      if (!prompt.ok()) continue;  // the template refuses such a chat, or hides the text
      EXPECT_TRUE(prompt->ends_with(text)) << entry.path().filename() << ": " << *prompt;
      EXPECT_EQ(prompt->find("PAGODA"), std::string::npos) << *prompt;
      // In front of it stands what stands in front of another text.
      body.find("messages")->as_array()[1].as_object().set("content", "zz");
      Result<std::string> other = prompt_of(model, body);
      ASSERT_TRUE(other.ok()) << entry.path().filename() << ": " << other.status().message();
      EXPECT_EQ(prompt->substr(0, prompt->size() - text.size()), other->substr(0, other->size() - 2))
          << entry.path().filename();
      ++continued;
    }
  }
  EXPECT_GT(continued, 250);
}

}  // namespace
}  // namespace pagoda
