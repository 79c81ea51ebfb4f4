// The `post_processor` member of tokenizer.json, reduced to what a single text needs: the ids that stand
// before and behind its own (BOS, at times EOS).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

struct PostProcessor {
  std::vector<int32_t> prefix, suffix;

  // `json`: the member, or nullptr for none. Kinds: TemplateProcessing, ByteLevel (changes no ids),
  // BertProcessing, RobertaProcessing, Sequence.
  static Result<PostProcessor> from_json(const Value* json);
};

}  // namespace pagoda
