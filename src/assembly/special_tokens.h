#pragma once
#include <vector>

#include "assembly/model_files.h"
#include "base/status.h"
#include "base/value.h"
#include "tokenizer/added_tokens.h"

namespace pagoda {

// What the files beside tokenizer.json say of special tokens, gathered as transformers 5 does: from
// tokenizer_config.json, and, unless that has `added_tokens_decoder`, from special_tokens_map.json, whose
// names win, and added_tokens.json.
struct SpecialTokens {
  Object named;                   // bos_token, eos_token, unk_token, pad_token... -> spelling, for templates
  std::vector<AddedToken> added;  // for the tokenizer, in the order in which they take ids
};

// `config`: tokenizer_config.json. Errors name the file and the member.
Result<SpecialTokens> read_special_tokens(const ModelFiles& files, const Object& config);

}  // namespace pagoda
