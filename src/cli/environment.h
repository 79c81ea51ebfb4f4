// vLLM's environment variables. What has a meaning here is read as the value of a flag that was not given; of
// what else is set the log tells.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"

namespace pagoda {

struct VariableSpec {
  const char* name;
  bool is_read;
  const char* note;  // why not, where that is worth telling
};
std::span<const VariableSpec> variable_table();

// The value of a variable that is set and not empty. Errors kInvalidArgument naming the variable. Requires:
// the table says that it is read.
std::optional<std::string> variable_text(const char* name);
Result<std::optional<int64_t>> variable_int(const char* name, int64_t low, int64_t high);
Result<std::optional<double>> variable_real(const char* name, double low, double high);
// 1, true, 0, false.
Result<bool> variable_switch(const char* name, bool otherwise);
// As in Python's bool(int(...)): every whole number but 0 is true; and true, false.
Result<bool> variable_truth(const char* name, bool otherwise);

// One log line for each VLLM_ variable that is set and not read. Where `refuse_unknown`, one that vLLM does
// not have either is an error.
Status report_variables(bool refuse_unknown);

}  // namespace pagoda
