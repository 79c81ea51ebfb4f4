#pragma once
#include "base/log.h"
#include "cli/flags.h"

namespace pagoda {

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

// --log-level before --logging-config before VLLM_LOGGING_LEVEL before --uvicorn-log-level: vLLM has two logs
// where we have one. Errors kInvalidArgument naming the flag.
Result<LogOptions> read_log_flags(const FlagValues& flags);

}  // namespace pagoda
