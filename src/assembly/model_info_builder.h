#pragma once
#include <memory>

#include "assembly/engine_args.h"
#include "assembly/model_files.h"
#include "assembly/text_assets.h"
#include "frontend/model_info.h"
#include "model/config.h"

namespace pagoda {

// What the front end knows of the model, from its files and the flags. max_model_len is checked by the
// caller. Errors kInvalidArgument naming the flag or file.
Result<std::shared_ptr<const ModelInfo>> build_model_info(const EngineArgs& args, const ModelFiles& files,
                                                          const ModelSpec& spec, TextAssets assets,
                                                          int32_t max_model_len);

}  // namespace pagoda
