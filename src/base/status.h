// Errors that come from outside of our code, as values: Status, and Result<T> = T or Status.
// No exception crosses a room's door; exceptions of libraries are caught where the library is used.
#pragma once
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace pagoda {

enum class StatusCode {
  kOk,
  kInvalidArgument,  // the caller's input is wrong                        HTTP 400
  kUnauthenticated,  // missing or wrong key                               HTTP 401
  kNotFound,         // unknown model, file, route                         HTTP 404
  kTooLarge,         // body, header or document over its limit            HTTP 413
  kUnimplemented,    // understood, not built                              HTTP 501
  kExhausted,        // too little of something now; retry_after_ms says when to ask again   HTTP 503
  kUnavailable,      // shutting down, or the engine is dead               HTTP 503
  kTimeout,          // its time ran out                                   HTTP 504
  kCancelled,        // the caller went away
  kIo,               // the world failed: a file, a socket
  kInternal,         // ours; the text never reaches a client              HTTP 500
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message, std::string param = {})
      : code_(code), message_(std::move(message)), param_(std::move(param)) {}

  static Status ok_status() { return {}; }
  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  // One sentence or more for the person: what was wrong, where, and how to mend it.
  const std::string& message() const { return message_; }
  // The request field or flag at fault, dotted (`messages.0.content`); empty if none.
  const std::string& param() const { return param_; }
  int retry_after_ms() const { return retry_after_ms_; }

  Status with_retry_after_ms(int ms) && {
    retry_after_ms_ = ms;
    return std::move(*this);
  }
  // Puts `context: ` before the message: the chain from the outer action to the inner cause.
  Status with_context(const std::string& context) && {
    if (!ok()) message_ = context + ": " + message_;
    return std::move(*this);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  int retry_after_ms_ = 0;
  std::string message_, param_;
};

inline Status invalid_argument(std::string message, std::string param = {}) {
  return {StatusCode::kInvalidArgument, std::move(message), std::move(param)};
}
inline Status not_found(std::string message, std::string param = {}) {
  return {StatusCode::kNotFound, std::move(message), std::move(param)};
}
inline Status io_error(std::string message) {
  return {StatusCode::kIo, std::move(message)};
}
inline Status internal_error(std::string message) {
  return {StatusCode::kInternal, std::move(message)};
}
inline Status unimplemented(std::string message, std::string param = {}) {
  return {StatusCode::kUnimplemented, std::move(message), std::move(param)};
}

// For the `catch (...)` at the top of a thread or a task: what was thrown.
inline Status status_of_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return {StatusCode::kExhausted, "there is too little memory for this request"};
  } catch (const std::exception& error) {
    return internal_error(error.what());
  } catch (...) {
    return internal_error("an exception of an unknown kind");
  }
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT: implicit on purpose
  Result(Status status) : state_(std::move(status)) {  // NOLINT
    PAGODA_CHECK(!std::get<Status>(state_).ok(), "a Result made from a Status must be an error");
  }

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }
  T& value() & {
    PAGODA_CHECK(ok(), "value() of a failed Result");
    return std::get<T>(state_);
  }
  const T& value() const& {
    PAGODA_CHECK(ok(), "value() of a failed Result");
    return std::get<T>(state_);
  }
  T&& value() && {
    PAGODA_CHECK(ok(), "value() of a failed Result");
    return std::move(std::get<T>(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // The error, or an OK status.
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace pagoda

#define PAGODA_CONCAT_INNER(a, b) a##b
#define PAGODA_CONCAT(a, b) PAGODA_CONCAT_INNER(a, b)

// PAGODA_TRY(auto x, f()): x is f's value, or the error is returned from here.
#define PAGODA_TRY(declaration, expression) \
  PAGODA_TRY_INNER(PAGODA_CONCAT(try_result_, __LINE__), declaration, expression)
#define PAGODA_TRY_INNER(name, declaration, expression) \
  auto name = (expression);                             \
  if (!name.ok()) return name.status();                 \
  declaration = std::move(name).value()

#define PAGODA_RETURN_IF_ERROR(expression)        \
  do {                                            \
    ::pagoda::Status status_from_ = (expression); \
    if (!status_from_.ok()) return status_from_;  \
  } while (0)
