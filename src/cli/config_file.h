#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/flags.h"

namespace pagoda {

// A YAML file of flags (`port: 8001`, `served-model-name: [a, b]`, `hf-overrides: {rope_theta: 1e6}`) as
// command line arguments. The table tells a list of values from a list that is one JSON value. Errors
// kInvalidArgument with the file and line; kNotFound.
Result<std::vector<std::string>> read_config_file(std::span<const FlagSpec> table, const std::string& path);

// The command line, over the file that its --config names. Requires: the table has "config".
Result<ParsedCommand> parse_with_config(std::span<const FlagSpec> table,
                                        const std::vector<std::string>& arguments);

}  // namespace pagoda
