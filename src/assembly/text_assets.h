#pragma once
#include <memory>
#include <string>

#include "assembly/model_files.h"
#include "jinja/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace pagoda {

// A model's text side: what `pagoda render`, `pagoda tokenize` and the front end need.
struct TextAssets {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;       // null: the model has none
  std::shared_ptr<const ChatTemplate> tool_chat_template;  // null: the same as chat_template
  std::vector<std::string> chat_template_names;            // those there are, where none is the default
  Object tokenizer_config;           // tokenizer_config.json as /tokenizer_info shows it
  std::string bos_token, eos_token;  // empty: none
  Object special_tokens;             // bos_token, eos_token, pad_token, image_token... for templates
};

// From a folder (with the special tokens that the files beside tokenizer.json add), from a tokenizer.json
// alone, or the built-in model for an empty reference.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& reference);

// Everything of a folder. `chat_template_flag`: --chat-template; empty: the model's own templates
// (assembly/chat_templates.h). Without `with_tokenizer` tokenizer.json is not read.
Result<TextAssets> load_text_assets(const ModelFiles& files, const std::string& chat_template_flag,
                                    bool with_tokenizer = true);

}  // namespace pagoda
