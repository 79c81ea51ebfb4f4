#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <regex>

#include "base/json.h"
#include "base/mmap.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace {

constexpr int64_t kNow = 1721952000;  // 26 Jul 2024

std::string read(const std::string& path) {
  Result<std::string> text = read_file(path);
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? *text : std::string();
}

// The expected texts were made with a strftime_now that answers "26 Jul 2024" whatever the format asks for.
std::string with_fixed_date_format(const std::string& source) {
  static const std::regex kCall(R"(strftime_now\(['"][^'"]*['"]\))");
  return std::regex_replace(source, kCall, "strftime_now('%d %b %Y')");
}

TEST(ChatTemplate, RendersRealTemplatesAsTransformersDoes) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  Result<Value> vectors = parse_json(read(dir + "/vectors.json"));
  ASSERT_TRUE(vectors.ok());
  std::map<std::string, std::shared_ptr<const ChatTemplate>> templates;
  int failed = 0;
  for (const Value& vector : vectors->as_array()) {
    const std::string& name = vector.find("template")->as_string();
    auto& chat_template = templates[name];
    if (!chat_template) {
      auto parsed = ChatTemplate::parse(with_fixed_date_format(read(dir + "/" + name)));
      ASSERT_TRUE(parsed.ok()) << name << ": " << parsed.status().message();
      chat_template = *parsed;
    }
    Result<std::string> text = chat_template->render(vector.find("context")->as_object(), kNow);
    std::string where = name + " / " + vector.find("case")->as_string();
    const Value* error = vector.find("error");
    if (error != nullptr) {
      bool same = !text.ok() && text.status().message().starts_with(error->as_string() + ": ");
      EXPECT_TRUE(same) << where << ": expected " << error->as_string() << ", got "
                        << (text.ok() ? "text" : text.status().message());
      failed += !same;
    } else {
      EXPECT_TRUE(text.ok()) << where << ": " << text.status().message();
      bool same = text.ok() && *text == vector.find("expected")->as_string();
      EXPECT_EQ(text.ok() ? *text : std::string(), vector.find("expected")->as_string()) << where;
      failed += !same;
    }
  }
  EXPECT_EQ(failed, 0) << "of " << vectors->as_array().size();
  EXPECT_GE(vectors->as_array().size(), 455u);
}

}  // namespace
}  // namespace pagoda
