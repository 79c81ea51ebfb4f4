#include "assembly/chat_templates.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file_content.h"
#include "base/log.h"
#include "base/mmap.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr const char* kDefault = "default";
constexpr const char* kFolder = "additional_chat_templates";
constexpr std::size_t kFileBytesMax = std::size_t{4} << 20, kTemplatesMax = 256;

Status bad_field(const std::string& where, const std::string& what) {
  return invalid_argument("chat_template of " + where + ": " + what, "chat_template");
}

Status add_named(const std::string& where, const std::string& name, const Value& source,
                 NamedTemplates* templates) {
  if (!source.is_string())
    return bad_field(
        where, fmt::format("the template '{}' is of type {}, expected a string", name, source.type_name()));
  (*templates)[name] = {source.as_string(), where};
  return {};
}

Status add_list(const std::string& where, const Array& list, NamedTemplates* templates) {
  for (const Value& entry : list) {
    const Value *name = entry.find("name"), *source = entry.find("template");
    if (name == nullptr || !name->is_string() || source == nullptr)
      return bad_field(where, "expected a list of {\"name\": ..., \"template\": ...}");
    PAGODA_RETURN_IF_ERROR(add_named(where, name->as_string(), *source, templates));
  }
  return {};
}

// The member chat_template of a file: one template or several.
Status add_field(const std::string& where, const Object& file, NamedTemplates* templates) {
  const Value* field = file.find("chat_template");
  if (field == nullptr || field->is_null() || *field == Value("")) return {};
  if (field->is_string()) return add_named(where, kDefault, *field, templates);
  if (field->is_array()) return add_list(where, field->as_array(), templates);
  if (!field->is_object())
    return bad_field(where,
                     fmt::format("it is of type {}, expected a string, an object of templates by name, "
                                 "or a list of {{name, template}}",
                                 field->type_name()));
  for (const Member& member : field->as_object())
    PAGODA_RETURN_IF_ERROR(add_named(where, member.key, member.value, templates));
  return {};
}

Status add_folder(const ModelFiles& files, NamedTemplates* templates) {
  namespace fs = std::filesystem;
  if (files.is_demo() || files.folder().empty()) return {};
  std::error_code error;
  for (fs::directory_iterator it(fs::path(files.folder()) / kFolder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".jinja") continue;
    if (templates->size() >= kTemplatesMax)
      return invalid_argument(
          fmt::format("'{}' holds more than {} templates", files.path_of(kFolder), kTemplatesMax));
    std::string name = std::string(kFolder) + "/" + it->path().filename().string();
    PAGODA_TRY(std::optional<std::string> source, files.read(name));
    if (source) (*templates)[it->path().stem().string()] = {std::move(*source), files.path_of(name)};
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return io_error(
        fmt::format("'{}' can not be read as a folder: {}", files.path_of(kFolder), error.message()));
  return {};
}

std::string names_of(const NamedTemplates& named) {
  std::string names;
  for (const auto& [name, unused] : named) names += (names.empty() ? "'" : ", '") + name + "'";
  return names;
}

Result<std::shared_ptr<const ChatTemplate>> parse(const NamedTemplate& named) {
  const std::string where = "chat template of " + named.where + ": ";
  if (named.source.find_first_not_of(" \t\r\n") == std::string::npos)
    return invalid_argument(where + "it is empty: no chat could be written with it", "chat_template");
  if (named.source.find('\0') != std::string::npos || !is_valid_utf8(named.source))
    return invalid_argument(where + "it is not UTF-8 text; save it as that", "chat_template");
  auto parsed = ChatTemplate::parse(named.source);
  if (!parsed.ok()) return std::move(parsed.status()).with_context("chat template of " + named.where);
  return parsed;
}

// A flag that names no file is a name, or the template itself if it looks like one.
Result<NamedTemplate> template_of_flag(const NamedTemplates& named, const std::string& flag) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(flag, ignored))) {
    PAGODA_TRY(std::string source, read_file(flag, kFileBytesMax));
    if (!source.empty()) PAGODA_RETURN_IF_ERROR(check_content(source, flag));
    return NamedTemplate{std::move(source), "--chat-template '" + flag + "'"};
  }
  if (auto found = named.find(flag); found != named.end()) return found->second;
  if (flag.find('{') != std::string::npos) return NamedTemplate{flag, "--chat-template"};
  std::string known = named.empty() ? std::string() : "; the model's templates are named " + names_of(named);
  return not_found("--chat-template '" + flag + "' is neither a file nor a template" + known,
                   "chat_template");
}

}  // namespace

Result<NamedTemplates> find_chat_templates(const ModelFiles& files, const Object& config) {
  NamedTemplates templates;
  PAGODA_RETURN_IF_ERROR(add_field(files.path_of("tokenizer_config.json"), config, &templates));
  if (templates.empty()) {
    PAGODA_TRY(Object file, files.read_object("chat_template.json", false));
    PAGODA_RETURN_IF_ERROR(add_field(files.path_of("chat_template.json"), file, &templates));
  }
  PAGODA_TRY(std::optional<std::string> file, files.read("chat_template.jinja"));
  if (file) templates[kDefault] = {std::move(*file), files.path_of("chat_template.jinja")};
  PAGODA_RETURN_IF_ERROR(add_folder(files, &templates));
  return templates;
}

Result<ChatTemplates> choose_chat_templates(const NamedTemplates& named, const std::string& flag) {
  ChatTemplates chosen;
  if (!flag.empty()) {
    PAGODA_TRY(NamedTemplate given, template_of_flag(named, flag));
    PAGODA_TRY(chosen.plain, parse(given));
    chosen.plain_source = std::move(given.source);
    return chosen;
  }
  auto plain = named.find(kDefault), with_tools = named.find("tool_use");
  if (plain != named.end()) {
    PAGODA_TRY(chosen.plain, parse(plain->second));
    chosen.plain_source = plain->second.source;
  } else if (!named.empty()) {
    log_warning(
        "The model has several chat templates ({}) and none is named 'default': name the one to use with "
        "--chat-template.",
        names_of(named));
    for (const auto& [name, unused] : named) chosen.names.push_back(name);
  }
  if (with_tools != named.end()) {
    PAGODA_TRY(chosen.with_tools, parse(with_tools->second));
  }
  return chosen;
}

}  // namespace pagoda
