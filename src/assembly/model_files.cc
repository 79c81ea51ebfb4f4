#include "assembly/model_files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "assembly/demo_files.h"
#include "base/env.h"
#include "base/file_content.h"
#include "base/json.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;

std::string hub_cache() {
  if (auto cache = environment("HF_HUB_CACHE")) return *cache;
  if (auto home = environment("HF_HOME")) return *home + "/hub";
  return environment("HOME").value_or("") + "/.cache/huggingface/hub";
}

// ORG/NAME, as the hub allows them; what begins like a path is one.
bool is_hub_name(const std::string& reference) {
  const std::size_t slash = reference.find('/');
  auto is_word = [](std::string_view word) {
    return !word.empty() && word.front() != '.' && word.find("..") == std::string_view::npos &&
           std::ranges::all_of(word, [](unsigned char c) {
             return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
           });
  };
  return slash != std::string::npos && is_word(reference.substr(0, slash)) &&
         is_word(reference.substr(slash + 1));
}

// The snapshot of ORG/NAME in the cache that huggingface_hub keeps: models--ORG--NAME/refs/main names it.
std::string cached_snapshot(const std::string& reference) {
  if (!is_hub_name(reference)) return {};
  const std::size_t slash = reference.find('/');
  std::string repo =
      hub_cache() + "/models--" + reference.substr(0, slash) + "--" + reference.substr(slash + 1);
  Result<std::string> revision = read_file(repo + "/refs/main", 256);
  if (!revision.ok() || revision->find('/') != std::string::npos) return {};
  std::string snapshot = repo + "/snapshots/" + revision->substr(0, revision->find_first_of("\r\n"));
  std::error_code ignored;
  return fs::is_directory(snapshot, ignored) ? snapshot : std::string();
}

// The largest tokenizers take some 40 MB, all else far less.
constexpr std::size_t kTokenizerBytesMax = std::size_t{256} << 20, kFileBytesMax = std::size_t{64} << 20;
// A value takes memory however short its text; 200,000 added tokens have 1.5 million.
constexpr std::size_t kValuesMax = std::size_t{4} << 20;

}  // namespace

Result<ModelFiles> ModelFiles::open(const std::string& reference) {
  ModelFiles files;
  std::error_code ignored;
  if (fs::is_directory(reference, ignored)) {
    files.folder_ = reference;
    return files;
  }
  if (reference.empty() || reference == kDemoModelName) {
    files.is_demo_ = true;
    if (demo_file("config.json")) return files;
    return not_found("this binary was built without the demo model; give a model folder: pagoda serve PATH");
  }
  files.folder_ = cached_snapshot(reference);
  if (!files.folder_.empty()) return files;
  if (fs::exists(reference, ignored))
    return invalid_argument("'" + reference + "' is not a folder: give the folder that holds config.json",
                            "model");
  if (!is_hub_name(reference))
    return not_found(
        "there is no folder '" + reference + "': give one that holds config.json and the weights", "model");
  return not_found("no model at '" + reference + "': it is neither a folder nor in the Hugging Face cache (" +
                       hub_cache() + "). Download it first (for instance `hf download " + reference +
                       "`), or give its folder: pagoda serve PATH",
                   "model");
}

std::string ModelFiles::path_of(const std::string& name) const {
  return is_demo() ? "the built-in model's " + name : folder_ + "/" + name;
}

Result<std::optional<std::string>> ModelFiles::read(const std::string& name) const {
  if (is_demo()) {
    std::optional<std::string_view> bytes = demo_file(name);
    return bytes ? std::optional<std::string>(*bytes) : std::nullopt;
  }
  if (folder_.empty()) return std::optional<std::string>();
  Result<std::string> text =
      read_file(path_of(name), name == "tokenizer.json" ? kTokenizerBytesMax : kFileBytesMax);
  if (text.ok()) {
    const bool may_be_empty = !name.ends_with(".json");  // a template of nothing is one
    if (!may_be_empty || !text->empty()) PAGODA_RETURN_IF_ERROR(check_content(*text, path_of(name)));
    return std::optional<std::string>(*std::move(text));
  }
  if (text.status().code() == StatusCode::kNotFound) return std::optional<std::string>();
  return text.status();
}

Result<Object> ModelFiles::read_object(const std::string& name, bool required) const {
  PAGODA_TRY(std::optional<std::string> text, read(name));
  if (!text) {
    if (!required) return Object();
    return not_found("'" + path_of(name) + "' is missing: a model folder needs it", "model");
  }
  Result<Value> value = parse_json(*text, {.values_max = kValuesMax});
  if (!value.ok()) return std::move(value.status()).with_context("'" + path_of(name) + "'");
  if (!value->is_object())
    return invalid_argument("'" + path_of(name) + "' must hold a JSON object", "model");
  return std::move(value->as_object());
}

Result<std::unique_ptr<Checkpoint>> ModelFiles::open_checkpoint() const {
  if (!is_demo()) return Checkpoint::open(folder_);
  std::string_view bytes = demo_file("model.safetensors").value_or("");
  return Checkpoint::from_bytes(std::as_bytes(std::span(bytes.data(), bytes.size())),
                                path_of("model.safetensors"));
}

}  // namespace pagoda
