// The model before its weights: where its files are, its table, where its numbers come from, and how they
// will be held.
#pragma once
#include <memory>
#include <string>

#include "assembly/engine_args.h"
#include "assembly/model_files.h"
#include "base/status.h"
#include "layers/weight_formats.h"
#include "model/config.h"

namespace pagoda {

struct ModelSource {
  ModelFiles files;
  std::string config;  // the JSON that `spec` was read from
  ModelSpec spec;
  std::unique_ptr<Checkpoint> checkpoint;  // null: dummy weights
  WeightFormats formats;
  UsedFormats used;
};

// Errors name the file or the flag.
Result<ModelSource> open_model(const ModelArgs& args);

// The names of --kv-cache-dtype; auto: the model's.
Result<DType> parse_kv_dtype(const std::string& name, DType of_the_model);

}  // namespace pagoda
