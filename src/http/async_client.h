#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/message.h"

namespace pagoda {

// HTTP/1.1 requests to one server, hundreds at once on the calling thread, which sleeps while nothing
// happens. Connections are kept and used again; a kept one that the server has closed meanwhile is replaced
// silently. All calls and all callbacks are on the thread of run().
class AsyncClient {
 public:
  using Clock = std::chrono::steady_clock;
  struct Request {
    std::string method = "GET", target = "/", body;
    HttpHeaders headers;
    double timeout_s = 600;
    // The body of a 2xx answer as it arrives, decoded from chunks; false hangs up, and on_done hears kIo.
    std::function<bool(std::string_view)> on_data;
    // Once. The answer: its body is empty if on_data took it. Errors kIo: refused, timed out, not HTTP.
    std::function<void(Result<HttpResponse>)> on_done;
  };

  // `url`: http://host:port, https://host or unix:/socket. Looks the name up, which may block. Errors
  // kInvalidArgument: not a URL; kIo: no such host.
  static Result<std::unique_ptr<AsyncClient>> open(const std::string& url);
  ~AsyncClient();
  // The path of the URL, at least "/". Requests name their own targets.
  const std::string& base_path() const;

  // Requires: on_done is set. May be called before run() and within any callback.
  void start(Request request);
  void at(Clock::time_point time, std::function<void()> task);
  // Until every request has ended and every task has run.
  void run();

 private:
  struct Impl;
  explicit AsyncClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
