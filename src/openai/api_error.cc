#include "openai/api_error.h"

#include <algorithm>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

// Both may quote what a request holds.
constexpr std::size_t kMessageCharsMax = 16 << 10, kParamCharsMax = 1024;
constexpr std::size_t kWrittenBytesMax = 4096;  // of a message, in a body

// A place in the request rather than a field: it does not fit the schema, which vLLM gives another type.
bool is_place(const std::string& param) {
  return param == "body" || param.starts_with("body.") || param.starts_with("query.");
}

}  // namespace

ApiError to_api_error(const Status& status) {
  ApiError error{400, excerpt(status.message(), kMessageCharsMax), "BadRequestError",
                 excerpt(status.param(), kParamCharsMax), 0};
  auto become = [&](int http_status, const char* type) {
    error.http_status = http_status;
    error.type = type;
  };
  switch (status.code()) {
    case StatusCode::kOk:
      break;
    case StatusCode::kInvalidArgument:
      if (is_place(error.param)) error.type = "Bad Request";
      break;
    case StatusCode::kUnauthenticated:
      become(401, "AuthenticationError");
      break;
    case StatusCode::kNotFound:
      become(404, "NotFoundError");
      break;
    case StatusCode::kTooLarge:
      become(413, "PayloadTooLargeError");
      break;
    case StatusCode::kUnimplemented:
      become(501, "NotImplementedError");
      break;
    case StatusCode::kExhausted:
    case StatusCode::kUnavailable:
      become(503, "ServiceUnavailableError");
      error.retry_after_s = std::max(1, (status.retry_after_ms() + 999) / 1000);
      break;
    case StatusCode::kTimeout:
      become(504, "TimeoutError");
      break;
    case StatusCode::kCancelled:
    case StatusCode::kIo:
    case StatusCode::kInternal:
      become(500, "InternalServerError");
      error.message = "The server failed to answer this request; its log says why.";
      error.param.clear();
  }
  return error;
}

std::string write_error(const ApiError& error) {
  // A message may repeat what the client sent, however long that was.
  std::string_view message = error.message;
  const bool is_long = message.size() > kWrittenBytesMax;
  if (is_long) message = message.substr(0, complete_utf8_prefix(message.substr(0, kWrittenBytesMax)));
  Object inner;
  inner.append("message", std::string(message) + (is_long ? "..." : ""));
  inner.append("type", error.type);
  inner.append("param", error.param.empty() ? Value() : Value(error.param));
  inner.append("code", error.http_status);
  Object out;
  out.append("error", std::move(inner));
  return write_json(Value(std::move(out)));
}

}  // namespace pagoda
