// What the tokenizer tests share: loading, and one call for encoding.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mmap.h"
#include "tests/testing/test_data.h"
#include "tokenizer/tokenizer.h"

namespace pagoda::testing {

inline Value load_json_file(const std::string& path) {
  Result<std::string> text = read_file(path);
  EXPECT_TRUE(text.ok()) << text.status().message();
  Result<Value> json = parse_json(text.ok() ? *text : "null");
  EXPECT_TRUE(json.ok()) << path << ": " << json.status().message();
  return json.ok() ? *json : Value();
}

// Each file is loaded once per test binary.
inline std::shared_ptr<const Tokenizer> load_tokenizer(const std::string& path) {
  static std::map<std::string, std::shared_ptr<const Tokenizer>> loaded;
  std::shared_ptr<const Tokenizer>& tokenizer = loaded[path];
  if (tokenizer != nullptr) return tokenizer;
  Result<std::string> text = read_file(path);
  EXPECT_TRUE(text.ok()) << text.status().message();
  if (!text.ok()) return nullptr;
  auto result = Tokenizer::from_json(*text);
  EXPECT_TRUE(result.ok()) << path << ": " << result.status().message();
  if (result.ok()) tokenizer = *result;
  return tokenizer;
}

inline std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                                   const EncodeOptions& options = {}) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, options, &ids);
  return ids;
}

inline std::vector<int32_t> ids_of(const Value& array) {
  std::vector<int32_t> ids;
  for (const Value& id : array.as_array()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

// The vocabularies of the test data, all of tokenizers/<name>/tokenizer.json.
inline constexpr const char* kVocabularies[] = {"llama-3.1", "qwen2.5",         "qwen3",     "falcon",
                                                "llama-2",   "mistral-7b-v0.3", "phi-3-mini"};

inline std::shared_ptr<const Tokenizer> load_vocabulary(const std::string& name) {
  return load_tokenizer(test_data_dir() + "/tokenizers/" + name + "/tokenizer.json");
}

}  // namespace pagoda::testing
