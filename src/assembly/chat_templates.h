#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assembly/model_files.h"
#include "jinja/chat_template.h"

namespace pagoda {

// A template's text and the file that it comes from, by the template's name.
struct NamedTemplate {
  std::string source, where;
};
using NamedTemplates = std::map<std::string, NamedTemplate>;

// The chat templates of a model folder, as transformers finds them: `chat_template` of tokenizer_config.json
// (else of chat_template.json) is one text, called "default", or several under their names, as an object or
// as a list of {name, template}; chat_template.jinja is the default before them,
// additional_chat_templates/*.jinja have their files' names. `config`: tokenizer_config.json.
Result<NamedTemplates> find_chat_templates(const ModelFiles& files, const Object& config);

// "default" serves chats, "tool_use" those with tools.
struct ChatTemplates {
  std::shared_ptr<const ChatTemplate> plain;  // null: there is none
  std::string plain_source;
  std::shared_ptr<const ChatTemplate> with_tools;  // null: the same
  std::vector<std::string> names;                  // of all, where none is the default
};
// `flag`: --chat-template: a file, the name of one of the model's templates, or the template itself; it then
// serves all chats.
Result<ChatTemplates> choose_chat_templates(const NamedTemplates& named, const std::string& flag);

}  // namespace pagoda
