#pragma once
#include <string>

#include "base/status.h"

namespace pagoda {

// What a client is told when a request cannot be answered. `type` as vLLM names it (BadRequestError,
// NotFoundError, ...; "Bad Request" where the body or the query does not fit the schema: then `param` is the
// place in it, "body.n").
struct ApiError {
  int http_status = 400;
  std::string message, type, param;  // param empty: null
  int retry_after_s = 0;             // 0: no Retry-After header
};

// The one table from StatusCode to HTTP status and type. The text of kInternal and kIo is replaced by a
// general one.
ApiError to_api_error(const Status& status);

// {"error": {"message", "type", "param", "code"}}.
std::string write_error(const ApiError& error);

}  // namespace pagoda
