#pragma once
#include <string>

#include "assembly/model_options.h"
#include "cli/flags.h"
#include "cli/log_flags.h"
#include "server/api_server.h"

namespace pagoda {

// `pagoda serve`'s flags, judged.
struct ServeOptions {
  ModelOptions model;
  HttpServerConfig http;
  ApiServerConfig api;  // without http
  LogOptions log;
  double shutdown_timeout_s = 30;
  bool quiet = false;  // no welcome
  ApiServerConfig api_config() const {
    ApiServerConfig config = api;
    config.http = http;
    return config;
  }
};

// Errors kInvalidArgument naming the flag.
Result<ServeOptions> serve_options(const ParsedCommand& command);

}  // namespace pagoda
