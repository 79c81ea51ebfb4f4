// The assembly room: from a model reference and flags to everything that serves it: config, weights,
// tokenizer, template, generation defaults, runner, engine, front end. The only room that knows how the
// others fit together; it has no logic that a request ever runs through.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/value.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Where a model's files come from: a Hugging Face folder, or the binary itself (the built-in demo model). One
// made by default has no files at all: dummy weights of a shape that --hf-config gives.
class ModelFiles {
 public:
  // `reference`: empty or "pagoda-demo": the built-in model; a folder; or ORG/NAME, looked up in the local
  // Hugging Face cache (HF_HUB_CACHE, HF_HOME, ~/.cache/huggingface). Nothing is downloaded. Error kNotFound
  // says where it looked.
  static Result<ModelFiles> open(const std::string& reference);

  bool is_demo() const { return is_demo_; }
  const std::string& folder() const { return folder_; }
  // For messages: the path, or "the built-in model".
  std::string path_of(const std::string& name) const;
  // nullopt if there is no such file.
  Result<std::optional<std::string>> read(const std::string& name) const;
  // A JSON object; an empty one if the file is absent and not `required`.
  Result<Object> read_object(const std::string& name, bool required) const;
  // Requires: there are files.
  Result<std::unique_ptr<Checkpoint>> open_checkpoint() const;

 private:
  bool is_demo_ = false;
  std::string folder_;  // empty: the demo, or nothing
};

}  // namespace pagoda
