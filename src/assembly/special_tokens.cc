#include "assembly/special_tokens.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_set>

namespace pagoda {
namespace {

constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
constexpr std::size_t kNamesMax = 1000, kTokensMax = 1 << 20, kContentBytesMax = 1024;

bool is_standard_name(std::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

const Value* member_of(const Object& object, const char* name) {
  const Value* value = object.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// Reads the members of one file; the first thing wrong is kept.
class TokenReader {
 public:
  explicit TokenReader(std::string file) : file_(std::move(file)) {}

  // A token is its spelling, or an object with `content` and rules (AddedToken). A special one is looked for
  // in the text as it stands unless its rules say otherwise.
  AddedToken token(const std::string& where, const Value& value, bool special = true) {
    AddedToken token;
    token.special = special;
    if (value.is_object()) {
      token.special = flag(where, value, "special", special);
      token.single_word = flag(where, value, "single_word", false);
      token.lstrip = flag(where, value, "lstrip", false);
      token.rstrip = flag(where, value, "rstrip", false);
    }
    token.normalized = flag(where, value, "normalized", !token.special);
    const Value* content = value.is_object() ? value.find("content") : &value;
    if (content == nullptr || content->is_null()) return token;
    if (!content->is_string())
      expected(where, "a string, or an object whose `content` is one", *content);
    else if (content->as_string().size() > kContentBytesMax)
      fail("`" + where + "` is longer than " + std::to_string(kContentBytesMax) + " bytes");
    else
      token.content = content->as_string();
    return token;
  }

  void expected(const std::string& where, const std::string& what, const Value& found) {
    fail("`" + where + "`: expected " + what + ", found " + found.type_name());
  }
  void fail(const std::string& message) {
    if (status_.ok()) status_ = invalid_argument("'" + file_ + "': " + message);
  }
  const Status& status() const { return status_; }

 private:
  bool flag(const std::string& where, const Value& value, const char* key, bool fallback) {
    const Value* found = value.find(key);
    if (found == nullptr || found->is_null()) return fallback;
    if (found->is_bool()) return found->as_bool();
    expected(where + "." + key, "true or false", *found);
    return fallback;
  }

  std::string file_;
  Status status_;
};

// The named tokens and the further ones, of one file or of two.
class Gathered {
 public:
  void take_names(const Object& file, TokenReader* reader) {
    for (const Member& member : file) {
      const bool standard = is_standard_name(member.key);
      const bool other =
          member.key.ends_with("_token") && (member.value.is_string() || member.value.is_object());
      if (standard || other) set(member.key, member.value, reader);
    }
  }
  void set(const std::string& name, const Value& value, TokenReader* reader) {
    if (!reader->status().ok()) return;
    auto at = std::find_if(named_.begin(), named_.end(), [&](const auto& one) { return one.first == name; });
    if (at == named_.end()) {
      if (named_.size() == kNamesMax) return reader->fail("too many names end in _token");
      at = named_.emplace(named_.end(), name, AddedToken());
    }
    at->second = value.is_null() ? AddedToken() : reader->token(name, value);
  }

  // A list of tokens, or an object of further names.
  void take_further(const char* key, const Value& value, TokenReader* reader) {
    if (value.is_object()) {
      for (const Member& member : value.as_object()) set(member.key, member.value, reader);
    } else if (!value.is_array()) {
      reader->expected(key, "a list of tokens, or an object of named ones", value);
    } else if (value.as_array().size() > kTokensMax) {
      reader->fail("`" + std::string(key) + "` has too many tokens");
    } else {
      for (std::size_t i = 0; i < value.as_array().size(); ++i)
        further_.push_back(reader->token(std::string(key) + "." + std::to_string(i), value.as_array()[i]));
    }
  }

  // The standard names first, each in its place, then the model's own.
  std::vector<std::pair<std::string, AddedToken>> named() const {
    std::vector<std::pair<std::string, AddedToken>> sorted = named_;
    auto rank = [](const auto& one) {
      return std::find(std::begin(kNames), std::end(kNames), one.first) - std::begin(kNames);
    };
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    std::erase_if(sorted, [](const auto& one) { return one.second.content.empty(); });
    return sorted;
  }
  const std::vector<AddedToken>& further() const { return further_; }

 private:
  std::vector<std::pair<std::string, AddedToken>> named_;
  std::vector<AddedToken> further_;
};

// `added_tokens_decoder` of tokenizer_config.json: id -> token.
std::vector<AddedToken> read_decoder(const Value& decoder, TokenReader* reader) {
  std::map<int64_t, AddedToken> by_id;
  if (!decoder.is_object()) {
    reader->expected("added_tokens_decoder", "an object", decoder);
    return {};
  }
  for (const Member& member : decoder.as_object()) {
    const std::string where = "added_tokens_decoder." + member.key.substr(0, 40);
    int64_t id = -1;
    const char* end = member.key.data() + member.key.size();
    auto [stop, error] = std::from_chars(member.key.data(), end, id);
    if (error != std::errc() || stop != end || id < 0) reader->fail("`" + where + "`: the key is not an id");
    if (!member.value.is_object()) reader->expected(where, "an object", member.value);
    if (by_id.size() == kTokensMax) reader->fail("`added_tokens_decoder` has too many tokens");
    if (!reader->status().ok()) return {};
    AddedToken token = reader->token(where, member.value, false);
    token.id = static_cast<int32_t>(std::min<int64_t>(id, INT32_MAX));
    by_id[id] = std::move(token);
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

// added_tokens.json: spelling -> id. Special are those that have a name.
std::vector<AddedToken> read_added(const Object& file, const std::unordered_set<std::string>& special,
                                   TokenReader* reader) {
  std::map<int64_t, AddedToken> by_id;
  for (const Member& member : file) {
    if (!member.value.is_int() || member.value.as_int() < 0) {
      reader->expected(member.key.substr(0, 40), "an id", member.value);
      return {};
    }
    AddedToken token =
        reader->token(member.key.substr(0, 40), Value(member.key), special.contains(member.key));
    token.id = static_cast<int32_t>(std::min<int64_t>(member.value.as_int(), INT32_MAX));
    token.known = AddedToken::Known::kKept;
    by_id[member.value.as_int()] = std::move(token);
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

}  // namespace

Result<SpecialTokens> read_special_tokens(const ModelFiles& files, const Object& config) {
  TokenReader reader(files.path_of("tokenizer_config.json"));
  TokenReader map_reader(files.path_of("special_tokens_map.json"));
  TokenReader added_reader(files.path_of("added_tokens.json"));
  Gathered gathered;
  gathered.take_names(config, &reader);
  const Value *extra = member_of(config, "extra_special_tokens"),
              *additional = member_of(config, "additional_special_tokens");
  // Where there is a list under the new name, the old name's is not looked at.
  const bool has_list = extra != nullptr && extra->is_array() && !extra->as_array().empty();
  if (extra != nullptr) gathered.take_further("extra_special_tokens", *extra, &reader);
  if (additional != nullptr && !has_list)
    gathered.take_further("additional_special_tokens", *additional, &reader);

  const bool has_lists =
      config.find("additional_special_tokens") != nullptr ||
      (config.find("extra_special_tokens") != nullptr && !config.find("extra_special_tokens")->is_object());

  std::vector<AddedToken> added;
  const Value* decoder = member_of(config, "added_tokens_decoder");
  if (decoder != nullptr) {
    added = read_decoder(*decoder, &reader);
  } else {
    PAGODA_TRY(Object map, files.read_object("special_tokens_map.json", false));
    gathered.take_names(map, &map_reader);
    const Value *map_extra = member_of(map, "extra_special_tokens"),
                *map_additional = member_of(map, "additional_special_tokens");
    if (map_extra != nullptr)
      gathered.take_further("extra_special_tokens", *map_extra, &map_reader);
    else if (map_additional != nullptr && !has_lists)
      gathered.take_further("additional_special_tokens", *map_additional, &map_reader);
  }

  SpecialTokens out;
  std::unordered_set<std::string> names, special;
  std::vector<AddedToken> declared;
  for (const auto& [name, token] : gathered.named()) {
    out.named.append(name, token.content);
    names.insert(token.content);
    if (is_standard_name(name)) special.insert(token.content);
    declared.push_back(token);
  }
  for (const AddedToken& token : gathered.further()) {
    special.insert(token.content);
    declared.push_back(token);
  }
  if (decoder == nullptr) {
    PAGODA_TRY(Object file, files.read_object("added_tokens.json", false));
    added = read_added(file, special, &added_reader);
  }
  for (const TokenReader* one : {&reader, &map_reader, &added_reader})
    if (!one->status().ok()) return one->status();

  for (AddedToken& token : added) {
    token.special = token.special || names.contains(token.content);
    out.added.push_back(std::move(token));
  }
  for (AddedToken& token : merge_added_tokens(std::move(declared))) {
    const bool is_named = names.contains(token.content);
    token.special = token.special || is_named;
    token.known = decoder == nullptr && is_named ? AddedToken::Known::kMadeSpecial : AddedToken::Known::kKept;
    out.added.push_back(std::move(token));
  }
  return out;
}

}  // namespace pagoda
