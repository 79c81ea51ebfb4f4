#include "assembly/text_assets.h"

#include <filesystem>

#include "assembly/special_tokens.h"
#include "base/file_content.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

Result<std::shared_ptr<const ChatTemplate>> parse_template(const std::string& source,
                                                           const std::string& where) {
  auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return std::move(parsed.status()).with_context("chat template of " + where);
  return parsed;
}

// A flag that names no file is the template itself if it looks like one.
Result<std::string> template_of_flag(const std::string& flag) {
  std::error_code ignored;
  if (std::filesystem::exists(flag, ignored)) {
    PAGODA_TRY(std::string source, read_file(flag, 4 << 20));
    if (!source.empty()) PAGODA_RETURN_IF_ERROR(judge_content(source, flag));
    return source;
  }
  if (flag.find('{') != std::string::npos) return flag;
  return not_found("--chat-template '" + flag + "' is neither a file nor a template", "chat_template");
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> load_chat_template(const std::string& flag) {
  PAGODA_TRY(std::string source, template_of_flag(flag));
  return parse_template(source, "--chat-template");
}

namespace {

Status read_templates(const ModelFiles& files, const Object& config, const std::string& flag,
                      TextAssets* assets) {
  if (!flag.empty()) {
    PAGODA_TRY(assets->chat_template, load_chat_template(flag));
    return {};
  }
  PAGODA_TRY(std::optional<std::string> file, files.read("chat_template.jinja"));
  if (file) {
    PAGODA_TRY(assets->chat_template, parse_template(*file, files.path_of("chat_template.jinja")));
    return {};
  }
  if (config.find("chat_template") == nullptr || config.find("chat_template")->is_null()) return {};
  std::string where = files.path_of("tokenizer_config.json");
  PAGODA_TRY(std::string plain, select_chat_template(config, "", false));
  PAGODA_TRY(std::string with_tools, select_chat_template(config, "", true));
  PAGODA_TRY(assets->chat_template, parse_template(plain, where));
  if (with_tools != plain) {
    PAGODA_TRY(assets->tool_chat_template, parse_template(with_tools, where));
  }
  return {};
}

Result<std::shared_ptr<const Tokenizer>> tokenizer_of(const std::string& json, const std::string& where,
                                                      std::vector<AddedToken> added) {
  auto tokenizer = Tokenizer::from_json(json, {.added_tokens = std::move(added)});
  if (!tokenizer.ok()) return std::move(tokenizer.status()).with_context("'" + where + "'");
  return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> tokenizer_of(const ModelFiles& files, const SpecialTokens& special) {
  PAGODA_TRY(std::optional<std::string> json, files.read("tokenizer.json"));
  if (!json)
    return not_found(
        "'" + files.path_of("tokenizer.json") + "' is missing; only the tokenizer.json format is read",
        "tokenizer");
  return tokenizer_of(*json, files.path_of("tokenizer.json"), special.added);
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& reference) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(reference, ignored)) {
    PAGODA_TRY(std::string json, read_file(reference));
    PAGODA_RETURN_IF_ERROR(judge_content(json, reference));
    return tokenizer_of(json, reference, {});
  }
  PAGODA_TRY(ModelFiles files, ModelFiles::open(reference));
  PAGODA_TRY(Object config, files.read_object("tokenizer_config.json", false));
  PAGODA_TRY(SpecialTokens special, read_special_tokens(files, config));
  return tokenizer_of(files, special);
}

Result<TextAssets> load_text_assets(const ModelFiles& files, const std::string& chat_template_flag,
                                    bool with_tokenizer) {
  TextAssets assets;
  PAGODA_TRY(Object config, files.read_object("tokenizer_config.json", false));
  PAGODA_TRY(SpecialTokens special, read_special_tokens(files, config));
  if (with_tokenizer) {
    PAGODA_TRY(assets.tokenizer, tokenizer_of(files, special));
  }
  assets.special_tokens = std::move(special.named);
  if (const Value* bos = assets.special_tokens.find("bos_token")) assets.bos_token = bos->as_string();
  if (const Value* eos = assets.special_tokens.find("eos_token")) assets.eos_token = eos->as_string();
  PAGODA_RETURN_IF_ERROR(read_templates(files, config, chat_template_flag, &assets));
  return assets;
}

}  // namespace pagoda
