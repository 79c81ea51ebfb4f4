// A tuning in a file, as JSON: {"made_for": "...", "tuning": {"near_bytes": 1024, ...}}.
#pragma once
#include <string>

#include "ops/cpu/tuning.h"

namespace pagoda {

struct TuningFile {
  std::string made_for;  // machine, program and model, in words or digits; "" if the file does not say
  CpuTuning tuning;
};
// Errors: kNotFound; kIo; kInvalidArgument, kTooLarge naming file and fault.
Result<TuningFile> read_tuning_file(const std::string& path);
// Beside its final name first, so that a reader sees all or nothing. Makes the folder. Error kIo.
Status write_tuning_file(const std::string& path, const TuningFile& file);

}  // namespace pagoda
