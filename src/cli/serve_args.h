#pragma once
#include <string>

#include "assembly/engine_args.h"
#include "cli/flags.h"
#include "cli/log_flags.h"
#include "server/api_server.h"

namespace pagoda {

// What the flags of `pagoda serve` say: most name a field of this (serve_flags_*.cc).
struct ServeArgs {
  EngineArgs engine;
  ApiServerConfig api;
  LogOptions log;
  double shutdown_timeout_s = 30;
  bool quiet = false;  // no welcome
};

// Values within their bounds, those that depend on one another checked, and what variables of the environment
// say where no flag does. Errors kInvalidArgument naming the flag.
Result<ServeArgs> serve_args(const ParsedCommand& command);

}  // namespace pagoda
