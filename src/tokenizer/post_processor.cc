#include "tokenizer/post_processor.h"

#include "base/excerpt.h"
#include "tokenizer/bpe.h"
#include "tokenizer/json_fields.h"

namespace pagoda {
namespace {

constexpr int kDepthMax = 8;
constexpr std::size_t kIdsMax = 1024;

// Appends special_tokens[name].ids.
Status append_special(const Value& json, const std::string& path, const std::string& name,
                      std::vector<int32_t>* ids) {
  const Value* specials = optional_member(json, "special_tokens");
  const Value* entry = specials == nullptr ? nullptr : specials->find(name);
  if (entry == nullptr)
    return invalid_argument("tokenizer.json: " + path + ".special_tokens has no member " + excerpt(name, 60) +
                            ", which the template names");
  PAGODA_TRY(const Array* members, array_field(*entry, path + ".special_tokens." + excerpt(name, 60), "ids"));
  for (const Value& id : *members) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > kTokenIdMax || ids->size() >= kIdsMax)
      return wrong_type(path + ".special_tokens." + excerpt(name, 60) + ".ids", "an array of a few token ids",
                        &id);
    ids->push_back(static_cast<int32_t>(id.as_int()));
  }
  return Status();
}

// `single`: special tokens around exactly one sequence A.
Status read_template(const Value& json, const std::string& path, PostProcessor* out) {
  PAGODA_TRY(const Array* parts, array_field(json, path, "single"));
  bool text_seen = false;
  PostProcessor inner;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const Value& part = (*parts)[i];
    std::string part_path = path + ".single[" + std::to_string(i) + "]";
    if (const Value* special = optional_member(part, "SpecialToken")) {
      PAGODA_TRY(std::string name, string_field(*special, part_path + ".SpecialToken", "id"));
      PAGODA_RETURN_IF_ERROR(append_special(json, path, name, text_seen ? &inner.suffix : &inner.prefix));
    } else if (const Value* sequence = optional_member(part, "Sequence")) {
      PAGODA_TRY(std::string name, string_field(*sequence, part_path + ".Sequence", "id"));
      if (name != "A" || text_seen)
        return invalid_argument("tokenizer.json: " + path + ".single must hold the sequence A once");
      text_seen = true;
    } else {
      return wrong_type(part_path, "an object with SpecialToken or Sequence", &part);
    }
  }
  if (!text_seen) return invalid_argument("tokenizer.json: " + path + ".single does not hold the sequence A");
  // What was added by an earlier processor stays inside.
  out->prefix.insert(out->prefix.begin(), inner.prefix.begin(), inner.prefix.end());
  out->suffix.insert(out->suffix.end(), inner.suffix.begin(), inner.suffix.end());
  return Status();
}

// A member ["<s>", 0] of BertProcessing and RobertaProcessing.
Result<int32_t> token_pair(const Value& json, const std::string& path, std::string_view key) {
  PAGODA_TRY(const Array* pair, array_field(json, path, key));
  bool fits = pair->size() == 2 && (*pair)[1].is_int() && (*pair)[1].as_int() >= 0 &&
              (*pair)[1].as_int() <= kTokenIdMax;
  if (!fits) return wrong_type(field_path(path, key), "a pair of token and id", json.find(key));
  return static_cast<int32_t>((*pair)[1].as_int());
}

Status read_processor(const Value& json, const std::string& path, int depth, PostProcessor* out) {
  PAGODA_TRY(std::string type, string_field(json, path, "type"));
  if (depth > kDepthMax) return invalid_argument("tokenizer.json: " + path + ": too many post-processors");
  if (type == "ByteLevel") return Status();
  if (type == "TemplateProcessing") return read_template(json, path, out);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    PAGODA_TRY(int32_t cls, token_pair(json, path, "cls"));
    PAGODA_TRY(int32_t sep, token_pair(json, path, "sep"));
    out->prefix.insert(out->prefix.begin(), cls);
    out->suffix.push_back(sep);
    return Status();
  }
  if (type != "Sequence")
    return invalid_argument(
        "tokenizer.json: " + path + ": the post-processor " + excerpt(type, 60) +
        " is not built; TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing and "
        "Sequence are");
  PAGODA_TRY(const Array* members, array_field(json, path, "processors"));
  for (std::size_t i = 0; i < members->size(); ++i)
    PAGODA_RETURN_IF_ERROR(
        read_processor((*members)[i], path + ".processors[" + std::to_string(i) + "]", depth + 1, out));
  if (out->prefix.size() + out->suffix.size() > kIdsMax)
    return invalid_argument("tokenizer.json: " + path + " adds more than " + std::to_string(kIdsMax) +
                            " ids");
  return Status();
}

}  // namespace

Result<PostProcessor> PostProcessor::from_json(const Value* json) {
  PostProcessor processor;
  if (json != nullptr) PAGODA_RETURN_IF_ERROR(read_processor(*json, "post_processor", 0, &processor));
  return processor;
}

}  // namespace pagoda
