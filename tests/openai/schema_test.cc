#include "tests/openai/schema.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/json.h"
#include "openai/responses.h"
#include "tests/openai/events.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace testing {

std::string SchemaChecker::check(const Value& value, const std::string& name) const {
  const Value* schema = document_->find("components")->find("schemas")->find(name);
  if (schema == nullptr) return "no schema " + name;
  return check(value, *schema, name);
}

std::string SchemaChecker::check_any(const Value& value, const Array& options,
                                     const std::string& where) const {
  std::string all;
  for (const Value& option : options) {
    std::string problem = check(value, option, where);
    if (problem.empty()) return {};
    all += " / " + problem;
  }
  return where + " fits no option:" + all;
}

std::string SchemaChecker::check_object(const Value& value, const Value& schema,
                                        const std::string& where) const {
  if (const Value* required = schema.find("required"))
    for (const Value& name : required->as_array())
      if (value.find(name.as_string()) == nullptr) return where + " lacks " + name.as_string();
  const Value* properties = schema.find("properties");
  const Value* additional = schema.find("additionalProperties");
  for (const Member& member : value.as_object()) {
    const Value* inner = properties == nullptr ? nullptr : properties->find(member.key);
    if (inner == nullptr && additional != nullptr && additional->is_object()) inner = additional;
    if (inner == nullptr) continue;  // vLLM's extensions
    std::string problem = check(member.value, *inner, where + "." + member.key);
    if (!problem.empty()) return problem;
  }
  return {};
}

std::string SchemaChecker::check(const Value& value, const Value& schema, const std::string& where) const {
  if (const Value* ref = schema.find("$ref")) {
    const Value* nullable = schema.find("nullable");
    if (value.is_null() && nullable != nullptr && nullable->as_bool()) return {};
    return check(value, ref->as_string().substr(ref->as_string().rfind('/') + 1));
  }
  if (const Value* nullable = schema.find("nullable");
      nullable != nullptr && nullable->as_bool() && value.is_null())
    return {};
  for (const char* name : {"anyOf", "oneOf"})
    if (const Value* options = schema.find(name)) {
      std::string problem = check_any(value, options->as_array(), where);
      if (!problem.empty()) return problem;
    }
  if (const Value* parts = schema.find("allOf"))
    for (const Value& part : parts->as_array()) {
      std::string problem = check(value, part, where);
      if (!problem.empty()) return problem;
    }
  if (const Value* type = schema.find("type")) {
    const std::string& want = type->as_string();
    bool fits = want == value.type_name() || (want == "number" && value.is_number());
    if (!fits) return where + " is " + value.type_name() + " instead of " + want;
  }
  if (const Value* values = schema.find("enum")) {
    bool found = false;
    for (const Value& one : values->as_array()) found |= one == value;
    if (!found) return where + " is not of the enum: " + write_json(value);
  }
  if (value.is_array() && schema.find("items") != nullptr) {
    for (const Value& item : value.as_array()) {
      std::string problem = check(item, *schema.find("items"), where + "[]");
      if (!problem.empty()) return problem;
    }
  }
  return value.is_object() ? check_object(value, schema, where) : std::string();
}

}  // namespace testing

namespace {

using testing::chunk_of;
using testing::SchemaChecker;
using testing::usage_chunk_of;

Value load(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  Result<Value> value = parse_json(text.str());
  return value.ok() ? std::move(*value) : Value();
}

TextDelta sample_delta(FinishReason finish) {
  TextDelta delta;
  delta.text = "hé\n";
  delta.token_ids = {5};
  delta.prompt_token_ids = {1};
  delta.finish = finish;
  TokenLogprobText one;
  one.token = {5, "h\xc3", -0.5f, 1};
  one.top = {{5, "h\xc3", -0.5f, 1}, {6, "x", -1.5f, 2}};
  delta.logprobs = {one};
  delta.prompt_logprobs = {one};
  return delta;
}

TEST(OpenAiSchema, AnswersAndChunksValidate) {
  PAGODA_TEST_DATA_OR_SKIP(path, "openai/openapi.json");
  Value document = load(path);
  ASSERT_TRUE(document.is_object());
  SchemaChecker checker(&document);
  ResponseHead head{"chatcmpl-1", "m", "fp", 1700000000};
  Usage usage{3, 4, 2};
  auto expect_valid = [&](const std::string& json, const char* schema) {
    Result<Value> value = parse_json(json);
    ASSERT_TRUE(value.ok()) << json;
    EXPECT_EQ(checker.check(*value, schema), "") << json;
  };
  for (std::optional<int64_t> num_logprobs : {std::optional<int64_t>(), std::optional<int64_t>(2)}) {
    ResponseShape shape;
    shape.num_logprobs = shape.num_prompt_logprobs = num_logprobs;
    shape.return_token_ids = num_logprobs.has_value();
    shape.continuous_usage = true;
    for (FinishReason finish : {FinishReason::kStop, FinishReason::kLength}) {
      ChoiceResult choice;
      choice.append(sample_delta(FinishReason::kNone));
      choice.append(sample_delta(finish));
      expect_valid(chat_format().whole(head, shape, {choice}, {usage, {}}), "CreateChatCompletionResponse");
      expect_valid(completion_format().whole(head, shape, {choice}, {usage, {}}), "CreateCompletionResponse");
      expect_valid(chunk_of(completion_format(), head, shape, sample_delta(finish)),
                   "CreateCompletionResponse");
    }
    std::string roles;
    chat_format().begin(&roles, head, shape, 1, sample_delta(FinishReason::kNone));
    expect_valid(testing::data_of(roles)[0], "CreateChatCompletionStreamResponse");
    for (FinishReason finish : {FinishReason::kNone, FinishReason::kStop})
      expect_valid(chunk_of(chat_format(), head, shape, sample_delta(finish)),
                   "CreateChatCompletionStreamResponse");
    expect_valid(usage_chunk_of(chat_format(), head, shape, {usage, {}}),
                 "CreateChatCompletionStreamResponse");
    expect_valid(usage_chunk_of(completion_format(), head, shape, {usage, {}}), "CreateCompletionResponse");
  }
  expect_valid(write_models({{"m", "/x", 1, 2}, {"n", "/x", 1, 2}}), "ListModelsResponse");
  expect_valid(write_model({"m", "/x", 1, 2}), "Model");
}

TEST(OpenAiSchema, TheCheckerFindsWhatIsWrong) {
  PAGODA_TEST_DATA_OR_SKIP(path, "openai/openapi.json");
  Value document = load(path);
  SchemaChecker checker(&document);
  const char* bad[] = {
      R"({"id":"x","object":"chat.completion","created":1,"model":"m"})",
      R"({"id":"x","object":"chat.completions","created":1,"model":"m","choices":[]})",
      R"({"id":"x","object":"chat.completion","created":"1","model":"m","choices":[]})",
      R"({"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",
          "logprobs":null,"message":{"role":"assistant","content":5,"refusal":null}}]})",
  };
  for (const char* json : bad)
    EXPECT_NE(checker.check(*parse_json(json), "CreateChatCompletionResponse"), "") << json;
}

}  // namespace
}  // namespace pagoda
