#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace pagoda {

// A YAML file of flags (`port: 8001`, `served-model-name: [a, b]`, `hf-overrides: {rope_theta: 1e6}`) as
// command line arguments. Errors kInvalidArgument with the file and line; kNotFound.
Result<std::vector<std::string>> read_config_file(const std::string& path);

}  // namespace pagoda
