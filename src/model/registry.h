#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "model/config.h"

namespace pagoda {

// config.json -> the table of the family that `architectures[0]`, or else `model_type`, names. Errors:
// kInvalidArgument naming the field; kUnimplemented for an unknown architecture, with those that are known.
Result<ModelSpec> read_model_spec(const Value& config);
// The same from text. `where` names it in messages.
Result<ModelSpec> read_model_spec(std::string_view config_json, const std::string& where);

std::vector<std::string> supported_architectures();

}  // namespace pagoda
