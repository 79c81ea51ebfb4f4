// What Jinja2 itself makes of some hundreds of small templates (make_cases.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mmap.h"
#include "jinja/chat_template.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace {

constexpr int64_t kMidnight = 1721952000;  // 26 Jul 2024 00:00 UTC

Result<std::string> run(std::string_view source, const Object& context) {
  PAGODA_TRY(auto chat_template, ChatTemplate::parse(source));
  return chat_template->render(context, {kMidnight, ""});
}

// The kind of error must be the same; where people read the message, the message too.
bool same_error(std::string_view expected, const std::string& actual) {
  std::string_view kind = expected.substr(0, expected.find(':'));
  if (kind == "UndefinedError" || kind == "SecurityError")
    return actual.starts_with(std::string(expected) + " (");
  if (kind == "TemplateError") return actual == expected;
  return std::string_view(actual).starts_with(std::string(kind) + ":");
}

TEST(Cases, AgreeWithJinja2) {
  Result<std::string> text = read_file(testing::source_path("tests/jinja/cases.json"));
  ASSERT_TRUE(text.ok());
  Result<Value> file = parse_json(*text);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const Object& context = file->find("context")->as_object();
  const Array& cases = file->find("cases")->as_array();
  EXPECT_GT(cases.size(), 800u);
  for (const Value& entry : cases) {
    const std::string& source = entry.as_array()[0].as_string();
    Result<std::string> result = run(source, context);
    if (entry.as_array()[1].is_string()) {
      EXPECT_EQ(result.ok() ? *result : result.status().message(), entry.as_array()[1].as_string()) << source;
    } else {
      const std::string& expected = entry.as_array()[2].as_string();
      EXPECT_TRUE(!result.ok() && same_error(expected, result.status().message()))
          << source << "\nexpected " << expected << "\ngot "
          << (result.ok() ? *result : result.status().message());
    }
  }
}

}  // namespace
}  // namespace pagoda
