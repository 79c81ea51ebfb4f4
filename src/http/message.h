#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory_budget.h"

namespace pagoda {

// Of ASCII letters; other bytes stay.
inline char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower_case(x) == lower_case(y); });
}

using HttpHeaders =
    std::vector<std::pair<std::string, std::string>>;  // names as received; compared without case

struct HttpRequest {
  std::string method;  // upper case
  std::string target;  // as received
  std::string path;    // percent-decoded, without the query and without --root-path
  std::string query;   // raw, without '?'
  HttpHeaders headers;
  // Its share of --max-body-memory. Kept as long as anything made of the body is, and charged with what that
  // takes. Null: it has no body.
  std::shared_ptr<MemoryShare> memory;
  std::string body;
  std::string remote_address;  // "127.0.0.1:50312", or "unix"
  // The first header of that name; nullopt if there is none.
  std::optional<std::string_view> header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (equal_ignoring_case(key, name)) return std::string_view(value);
    return std::nullopt;
  }
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  std::string content_type = "application/json";
};

// The answer's way back: one per request, shared by all that produce it. All calls are thread-safe and none
// blocks; calls after the client has gone are ignored.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  // A whole answer. Exactly one of send() and start_stream() per request.
  virtual void send(HttpResponse response) = 0;
  // A streamed answer (chunked transfer coding): headers now, then pieces, then finish(). Each piece of a
  // text/event-stream is whole events.
  virtual void start_stream(int status, std::string content_type, HttpHeaders headers) = 0;
  virtual void write(std::string piece) = 0;
  virtual void finish() = 0;
  // Runs `task` soon on this connection's I/O thread; tasks of one connection never overlap. Still runs when
  // the client has gone, but not after the server has stopped.
  virtual void post(std::function<void()> task) = 0;
  // Called once, on the I/O thread, if the client leaves (or is cut off for slowness) before the answer is
  // complete. At once if that has happened already.
  virtual void on_close(std::function<void()> callback) = 0;
  virtual bool closed() const = 0;
  // False: so much of the stream is unsent that a producer of much more had better wait; `when` is called
  // once, on the I/O thread, as soon as the client has taken most of it, and not at all if it leaves. It owns
  // nothing.
  virtual bool writable(std::function<void()> when) = 0;
};

using HttpHandler = std::function<void(HttpRequest, std::shared_ptr<ResponseWriter>)>;
// Checks a request whose head has come and whose body has not; an answer refuses it.
using HttpFilter = std::function<std::optional<HttpResponse>(const HttpRequest&)>;

}  // namespace pagoda
