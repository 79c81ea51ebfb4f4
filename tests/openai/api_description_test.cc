#include "openai/api_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "openai/api_table.h"
#include "openai/request_fields.h"
#include "openai/requests.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A value that no field of that type takes.
std::string wrong_value(std::string_view type) {
  if (type == "string" || type == "integer" || type == "number" || type == "boolean") return "[[{}]]";
  return "5.5";
}

// The table tells only of fields that are read: a wrong value is refused by name.
TEST(ApiTable, EveryFieldIsRead) {
  auto refused = [](std::string_view body, const std::string& json) -> Status {
    if (body == "ChatCompletionRequest") return parse_chat_request(json, {}).status();
    if (body == "CompletionRequest") return parse_completion_request(json, {}).status();
    if (body == "TokenizeRequest") return parse_tokenize_request(json, {}).status();
    if (body == "DetokenizeRequest") return parse_detokenize_request(json).status();
    return parse_abort_request(json).status();
  };
  auto json_with = [](std::string_view body, const ApiField& field) {
    std::string json = "{\"" + std::string(field.name) + "\":" + wrong_value(field.type);
    if (body == "ChatCompletionRequest" && field.name != std::string("messages"))
      json += R"(,"messages":[{"role":"user","content":"x"}])";
    if (body == "CompletionRequest" && field.name != std::string("prompt")) json += R"(,"prompt":"x")";
    if (body == "TokenizeRequest" && field.name != std::string("prompt") &&
        field.name != std::string("messages"))
      json += R"(,"messages":[{"role":"user","content":"x"}])";
    if (body == "DetokenizeRequest" && field.name != std::string("tokens")) json += R"(,"tokens":[1])";
    return json + "}";
  };
  for (const ApiField& field : api_fields()) {
    SCOPED_TRACE(field.name);
    const std::string body = field.body;
    for (const std::string& one : body == "GenerationFields"
                                      ? std::vector<std::string>{"ChatCompletionRequest", "CompletionRequest"}
                                      : std::vector<std::string>{body}) {
      const Status status = refused(one, json_with(one, field));
      EXPECT_FALSE(status.ok()) << one;
      EXPECT_THAT(status.message() + " " + status.param(), HasSubstr(field.name)) << one;
    }
  }
}

// What is read and not told of: fields of OpenAI's or of older servers' that change nothing here, or are
// refused unless they ask for nothing.
const std::set<std::string_view> kUntold = {"service_tier",
                                            "metadata",
                                            "store",
                                            "safety_identifier",
                                            "prompt_cache_key",
                                            "prediction",
                                            "verbosity",
                                            "modalities",
                                            "audio",
                                            "prompt_cache_retention",
                                            "functions",
                                            "function_call",
                                            "guided_json",
                                            "guided_regex",
                                            "guided_choice",
                                            "guided_grammar",
                                            "best_of",
                                            "logits_processors",
                                            "web_search_options",
                                            "guided_decoding_backend",
                                            "guided_whitespace_pattern"};

// And of all fields that are read.
TEST(ApiTable, EveryFieldThatIsReadIsInIt) {
  constexpr char kMessages[] = R"({"messages":[{"role":"user","content":"x"}]})";
  struct Case {
    const char *body, *json;
    Status (*read)(Fields*, JsonMeter*);
  } cases[] = {
      {"ChatCompletionRequest", kMessages,
       [](Fields* f, JsonMeter* m) { return read_chat_request(f, {}, m).status(); }},
      {"CompletionRequest", R"({"prompt":"x"})",
       [](Fields* f, JsonMeter*) { return read_completion_request(f, {}).status(); }},
      {"TokenizeRequest", R"({"prompt":"x"})",
       [](Fields* f, JsonMeter* m) { return read_tokenize_request(f, {}, m).status(); }},
      {"TokenizeRequest", kMessages,
       [](Fields* f, JsonMeter* m) { return read_tokenize_request(f, {}, m).status(); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.body);
    JsonMeter meter;
    std::set<std::string_view> told;
    for (const ApiField& field : api_fields())
      if (field.body == std::string_view(c.body) || (field.body == std::string_view("GenerationFields") &&
                                                     c.body != std::string_view("TokenizeRequest")))
        told.insert(field.name);
    Value root = *parse_json(c.json);
    Fields fields(&root.as_object());
    ASSERT_TRUE(c.read(&fields, &meter).ok());
    EXPECT_GT(fields.seen().size(), 3u);
    for (std::string_view name : fields.seen())
      EXPECT_TRUE(told.count(name) + kUntold.count(name) > 0) << name << " is read";
  }
}

// Every "$ref" leads somewhere.
void check_references(const Value& root, const Value& value) {
  if (value.is_array())
    for (const Value& item : value.as_array()) check_references(root, item);
  if (!value.is_object()) return;
  for (const Member& member : value.as_object()) {
    check_references(root, member.value);
    if (member.key != "$ref") continue;
    const std::string prefix = "#/components/schemas/", target = member.value.as_string();
    ASSERT_EQ(target.substr(0, prefix.size()), prefix);
    EXPECT_NE(root.find("components")->find("schemas")->find(target.substr(prefix.size())), nullptr)
        << target;
  }
}

TEST(ApiDescription, IsOpenApiOfTheRoutesThatThereAre) {
  ServedApi api = {"1.2.3", {{"GET", "/not/in/the/table"}}};
  for (const ApiRoute& route : api_routes()) api.routes.push_back({route.method, route.path, true});
  const Value document = describe_api(api);
  EXPECT_EQ(document.find("openapi")->as_string(), "3.1.0");
  EXPECT_EQ(document.find("info")->find("version")->as_string(), "1.2.3");
  check_references(document, document);
  const Object& paths = document.find("paths")->as_object();
  EXPECT_EQ(paths.find("/not/in/the/table"), nullptr);
  EXPECT_NE(paths.find("/v1/models/{name}"), nullptr);
  const Value* ping = paths.find("/ping");
  EXPECT_TRUE(ping->find("get") != nullptr && ping->find("post") != nullptr);
  std::set<std::string> ids;
  for (const Member& path : paths)
    for (const Member& method : path.value.as_object()) {
      EXPECT_TRUE(ids.insert(method.value.find("operationId")->as_string()).second) << path.key;
      EXPECT_NE(method.value.find("security"), nullptr);
    }
  EXPECT_EQ(ids.size(), api_routes().size());
  const Value* chat = document.find("components")->find("schemas")->find("ChatCompletionRequest");
  EXPECT_EQ(write_json(*chat->find("required")), R"(["messages"])");
  EXPECT_EQ(chat->find("properties")->find("temperature")->find("type")->as_string(), "number");
  EXPECT_EQ(write_json(*chat->find("properties")->find("stop")->find("type")), R"(["string","array"])");

  const Value open = describe_api({"1", {{"GET", "/health"}}});
  EXPECT_EQ(open.find("paths")->as_object().size(), 1u);
  EXPECT_EQ(open.find("components")->find("securitySchemes"), nullptr);
}

TEST(ApiDescription, ThePageLoadsNothing) {
  const std::string page = describe_api_as_html({"<1>", {{"POST", "/v1/completions"}, {"GET", "/health"}}});
  EXPECT_THAT(page, HasSubstr("POST /v1/completions"));
  EXPECT_THAT(page, HasSubstr("<code>temperature</code>"));
  EXPECT_THAT(page, HasSubstr("Pagoda &#60;1&#62;"));
  for (const char* loaded : {"<script", "http://", "https://", "src=", "@import", "<link"})
    EXPECT_THAT(page, Not(HasSubstr(loaded)));
  EXPECT_THAT(page, Not(HasSubstr("/v1/chat/completions")));
}

}  // namespace
}  // namespace pagoda
