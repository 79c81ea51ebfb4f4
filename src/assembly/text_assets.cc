#include "assembly/text_assets.h"

#include <filesystem>

#include "assembly/chat_templates.h"
#include "assembly/special_tokens.h"
#include "base/file_content.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

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
  const bool is_there = std::filesystem::exists(std::filesystem::symlink_status(reference, ignored));
  if (is_there && !std::filesystem::is_directory(reference, ignored)) {
    PAGODA_TRY(std::string json, read_file(reference));
    PAGODA_RETURN_IF_ERROR(check_content(json, reference));
    return tokenizer_of(json, reference, {});
  }
  PAGODA_TRY(ModelFiles files, ModelFiles::open(reference));
  PAGODA_TRY(Object config, files.read_object("tokenizer_config.json", false));
  PAGODA_TRY(SpecialTokens special, read_special_tokens(files, config));
  return tokenizer_of(files, special);
}

namespace {

// Added tokens are objects: their texts.
Value shown(Value value) {
  if (value.is_object()) {
    if (const Value* content = value.find("content"); content != nullptr && content->is_string())
      return content->as_string();
    for (Member& member : value.as_object()) member.value = shown(std::move(member.value));
  } else if (value.is_array()) {
    for (Value& item : value.as_array()) item = shown(std::move(item));
  }
  return value;
}

// Without the paths of files.
Object shown_config(Object config) {
  Object out;
  for (Member& member : config)
    if (member.key != "vocab_file" && member.key != "merges_file")
      out.append(std::move(member.key), shown(std::move(member.value)));
  return out;
}

}  // namespace

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
  PAGODA_TRY(NamedTemplates templates, find_chat_templates(files, config));
  PAGODA_TRY(ChatTemplates chosen, choose_chat_templates(templates, chat_template_flag));
  assets.chat_template = std::move(chosen.plain);
  assets.tool_chat_template = std::move(chosen.with_tools);
  assets.chat_template_names = std::move(chosen.names);
  if (assets.chat_template) config.set("chat_template", std::move(chosen.plain_source));
  assets.tokenizer_config = shown_config(std::move(config));
  return assets;
}

}  // namespace pagoda
