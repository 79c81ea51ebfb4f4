#include "assembly/text_assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::write_file;

// The folder's template filled in with nothing but its special tokens.
std::string rendered(const ChatTemplate& chat_template, const TextAssets& assets) {
  return chat_template.render(assets.special_tokens, TemplateClock{}).value();
}

Result<TextAssets> load(const TempDir& folder, const std::string& flag = {}) {
  return load_text_assets(ModelFiles::open(folder.path()).value(), flag, /*with_tokenizer=*/false);
}

TEST(TextAssets, SpecialTokensInEverySpelling) {
  TempDir folder;
  write_file(folder.file("tokenizer_config.json"),
             R"({"bos_token":"<s>","eos_token":{"content":"</s>","lstrip":false},"unk_token":null})");
  write_file(folder.file("special_tokens_map.json"), R"({"bos_token":"<other>","unk_token":"<unk>"})");
  TextAssets assets = load(folder).value();
  EXPECT_EQ(assets.bos_token, "<other>");  // the map wins
  EXPECT_EQ(assets.eos_token, "</s>");
  EXPECT_EQ(assets.special_tokens.find("unk_token")->as_string(), "<unk>");
  EXPECT_EQ(assets.special_tokens.find("pad_token"), nullptr);
  EXPECT_EQ(assets.chat_template, nullptr);
}

TEST(TextAssets, TheFlagThenTheFileThenTheConfig) {
  TempDir folder;
  write_file(folder.file("tokenizer_config.json"),
             R"({"chat_template":"config {{ bos_token }}","bos_token":"B"})");
  TextAssets assets = load(folder).value();
  EXPECT_EQ(rendered(*assets.chat_template, assets), "config B");
  EXPECT_EQ(assets.tool_chat_template, nullptr);
  write_file(folder.file("chat_template.jinja"), "file {{ bos_token }}");
  assets = load(folder).value();
  EXPECT_EQ(rendered(*assets.chat_template, assets), "file B");
  assets = load(folder, "flag {{ bos_token }}").value();
  EXPECT_EQ(rendered(*assets.chat_template, assets), "flag B");
  assets = load(folder, folder.file("chat_template.jinja")).value();
  EXPECT_EQ(rendered(*assets.chat_template, assets), "file B");
}

// What chats without and with tools are rendered with; "-" for none.
std::string templates_of(const TempDir& folder, const std::string& flag = {}) {
  Result<TextAssets> assets = load(folder, flag);
  if (!assets.ok()) return assets.status().message();
  auto shown = [&](const auto& chat_template) {
    return chat_template ? rendered(*chat_template, *assets) : std::string("-");
  };
  return shown(assets->chat_template) + " " + shown(assets->tool_chat_template);
}

// For the error of a chat that none of them serves.
TEST(TextAssets, TemplatesAreNamedWhereNoneIsTheDefault) {
  TempDir folder;
  const std::string config = folder.file("tokenizer_config.json");
  write_file(config,
             R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"rag","template":"r"}]})");
  EXPECT_EQ(load(folder)->chat_template_names, (std::vector<std::string>{"rag", "tool_use"}));
  EXPECT_TRUE(load(folder, "rag")->chat_template_names.empty());
  write_file(config, R"({"chat_template":{"default":"d","rag":"r"}})");
  EXPECT_TRUE(load(folder)->chat_template_names.empty());
  write_file(config, "{}");
  EXPECT_TRUE(load(folder)->chat_template_names.empty());
}

TEST(TextAssets, TemplatesByNameInEverySpelling) {
  struct Case {
    const char *config, *flag, *expected;  // expected: part of what templates_of says
  };
  const Case kCases[] = {
      {R"({"chat_template":[{"name":"default","template":"plain"},{"name":"tool_use","template":"tools"}]})",
       "", "plain tools"},
      {R"({"chat_template":{"default":"plain","tool_use":"tools","rag":"documents"}})", "", "plain tools"},
      {R"({"chat_template":{"default":"plain","tool_use":"tools","rag":"documents"}})", "rag", "documents -"},
      {R"({"chat_template":[{"name":"rag","template":"documents"}]})", "", "- -"},
      {R"({"chat_template":[{"name":"rag","template":"documents"}]})", "rag", "documents -"},
      {R"({"chat_template":[{"name":"tool_use","template":"tools"}]})", "", "- tools"},
      {R"({"chat_template":{"rag":"documents"}})", "other", "the model's templates are named 'rag'"},
      {R"({"chat_template":null})", "", "- -"},
      {R"({"chat_template":5})", "", "is of type integer"},
      {R"({"chat_template":{"default":5}})", "", "the template 'default' is of type integer"},
      {R"({"chat_template":[{"name":"default"}]})", "", "expected a list of"},
      {R"({"chat_template":["x"]})", "", "expected a list of"},
  };
  for (const Case& c : kCases) {
    TempDir folder;
    write_file(folder.file("tokenizer_config.json"), c.config);
    EXPECT_THAT(templates_of(folder, c.flag), HasSubstr(c.expected)) << c.config << " " << c.flag;
  }
}

TEST(TextAssets, TemplatesInFilesOfTheirOwn) {
  TempDir folder;
  write_file(folder.file("chat_template.json"), R"({"chat_template":"of a processor"})");
  EXPECT_EQ(templates_of(folder), "of a processor -");
  write_file(folder.file("tokenizer_config.json"), R"({"chat_template":"of the config"})");
  EXPECT_EQ(templates_of(folder), "of the config -");
  std::filesystem::create_directory(folder.file("additional_chat_templates"));
  write_file(folder.file("additional_chat_templates/tool_use.jinja"), "for tools");
  write_file(folder.file("additional_chat_templates/rag.jinja"), "for documents");
  write_file(folder.file("additional_chat_templates/README.md"), "{% for %}");
  EXPECT_EQ(templates_of(folder), "of the config for tools");
  write_file(folder.file("chat_template.jinja"), "of a file");
  EXPECT_EQ(templates_of(folder), "of a file for tools");
  EXPECT_EQ(templates_of(folder, "rag"), "for documents -");
  write_file(folder.file("additional_chat_templates/tool_use.jinja"), "{% for %}");
  EXPECT_THAT(templates_of(folder), HasSubstr("additional_chat_templates/tool_use.jinja"));
}

TEST(TextAssets, APointerInAFilesPlaceIsNamed) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "added_tokens.json", "chat_template.jinja"}) {
    SCOPED_TRACE(name);
    TempDir folder;
    write_file(folder.file("tokenizer.json"), *ModelFiles::open("").value().read("tokenizer.json").value());
    write_file(folder.file(name), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    Status status = load_text_assets(ModelFiles::open(folder.path()).value(), "").status();
    EXPECT_THAT(status.message(), HasSubstr(folder.file(name) + "' is a Git LFS pointer"));
  }
  TempDir folder;
  for (const char* name : {"tokenizer.json", "template.jinja"})
    write_file(folder.file(name), "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(load_tokenizer(folder.file("tokenizer.json")).status().message(), HasSubstr("git lfs pull"));
  EXPECT_THAT(load(folder, folder.file("template.jinja")).status().message(), HasSubstr("git lfs pull"));
}

TEST(TextAssets, AFileThatIsNoTemplateIsNamed) {
  using namespace std::string_literals;
  for (const char* name : {"chat_template.jinja", "additional_chat_templates/default.jinja"}) {
    for (const std::string& text : {""s, " \n"s, "\xff\xfe{\0{\0"s, "\xe9"s}) {
      TempDir folder;
      std::filesystem::create_directory(folder.file("additional_chat_templates"));
      write_file(folder.file(name), text);
      EXPECT_THAT(load(folder).status().message(), HasSubstr(folder.file(name))) << text;
      EXPECT_THAT(load(folder, folder.file(name)).status().message(), HasSubstr(folder.file(name))) << text;
    }
  }
}

TEST(TextAssets, AFolderOfTemplatesThatIsNoFolderIsNamed) {
  TempDir folder;
  write_file(folder.file("additional_chat_templates"), "{{ x }}");
  EXPECT_THAT(load(folder).status().message(), HasSubstr(folder.file("additional_chat_templates")));
}

TEST(TextAssets, ADanglingLinkIsNamed) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                           "chat_template.json", "chat_template.jinja"}) {
    TempDir folder;
    std::filesystem::create_symlink("no such file", folder.file(name));
    EXPECT_THAT(load(folder).status().message(), HasSubstr(folder.file(name) + "' is a link")) << name;
  }
}

TEST(TextAssets, ErrorsNameTheFile) {
  TempDir folder;
  write_file(folder.file("tokenizer.json"), "{}");
  EXPECT_THAT(load_tokenizer(folder.path()).status().message(), HasSubstr("tokenizer.json"));
  EXPECT_THAT(load_tokenizer(folder.file("tokenizer.json")).status().message(), HasSubstr("tokenizer.json"));
  EXPECT_EQ(load_tokenizer(folder.file("nothing")).status().code(), StatusCode::kNotFound);
  write_file(folder.file("chat_template.jinja"), "{% for %}");
  EXPECT_THAT(load(folder).status().message(), HasSubstr("chat_template.jinja"));
  EXPECT_EQ(load(folder, "no-such-file").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace pagoda
