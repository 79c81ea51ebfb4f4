// A bare socket for saying to a server what no honest client would, and a server on a port that the system
// chose.
#pragma once
#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "http/server.h"

namespace pagoda {

// Parts of a request as bytes: the head, with further header lines, and two of those.
inline std::string request_head(const std::string& line, const std::string& fields) {
  return line + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
inline std::string content_length(std::size_t bytes) {
  return "Content-Length: " + std::to_string(bytes) + "\r\n";
}
inline constexpr const char* kExpectContinue = "Expect: 100-continue\r\n";

class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  explicit RawClient(const std::string& unix_path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, unix_path.data(), unix_path.size());
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // Reads until `mark` has come (and forgets what is before its end), the server closes, or the time is over.
  std::string read_until(std::string_view mark, int timeout_ms = 10000) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    std::size_t at;
    while ((at = received_.find(mark)) == std::string::npos && !eof_ && read_some(end)) {
    }
    if (at == std::string::npos) return std::exchange(received_, {});
    std::string out = received_.substr(0, at + mark.size());
    received_.erase(0, at + mark.size());
    return out;
  }
  // What one read gives.
  std::string read_piece(int timeout_ms = 10000) {
    read_some(std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms));
    return std::exchange(received_, {});
  }
  std::string read_all(int timeout_ms = 10000) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!eof_ && read_some(end)) {
    }
    return std::exchange(received_, {});
  }
  // One answer with a Content-Length.
  std::string read_answer(int timeout_ms = 10000) {
    std::string head = read_until("\r\n\r\n", timeout_ms);
    std::size_t at = head.find("content-length: ");
    if (at == std::string::npos) return head;
    std::size_t length = std::stoul(head.substr(at + 16));
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (received_.size() < length && !eof_ && read_some(end)) {
    }
    head += received_.substr(0, length);
    received_.erase(0, length);
    return head;
  }
  bool eof() const { return eof_; }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // So that close() resets the connection.
  void reset_on_close() {
    linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }

 private:
  bool read_some(std::chrono::steady_clock::time_point end) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd poll_fd{fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&poll_fd, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[16384];
    ssize_t n = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) {
      eof_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  int fd_;
  bool connected_ = false, eof_ = false;
  std::string received_;
};

inline HttpServerConfig local_config() {
  HttpServerConfig config;
  config.host = "127.0.0.1";
  config.port = 0;
  config.access_log = false;
  return config;
}

// GET / says "hello"; POST /echo sends the body back; both as plain answers.
inline std::unique_ptr<HttpServer> make_server(const HttpServerConfig& config) {
  auto server = std::make_unique<HttpServer>(config);
  server->on("GET", "/", [](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    HttpResponse response;
    response.body = "hello";
    writer->send(std::move(response));
  });
  server->on("POST", "/echo", [](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
    HttpResponse response;
    response.body = std::move(request.body);
    writer->send(std::move(response));
  });
  server->error_body([](int status, const std::string& message) {
    return "{\"error\":" + std::to_string(status) + ",\"message\":\"" + message + "\"}";
  });
  return server;
}

inline void start(HttpServer* server) {
  Status status = server->bind();
  ASSERT_TRUE(status.ok()) << status.message();
  status = server->start();
  ASSERT_TRUE(status.ok()) << status.message();
}

// Polls until the condition holds; false after the time.
template <class Condition>
bool eventually(Condition condition, int timeout_ms = 10000) {
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline int count_descriptors() {
  int count = 0;
  DIR* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

inline int status_of(const std::string& answer) {
  return answer.compare(0, 7, "HTTP/1.") == 0 && answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}

inline std::string body_of(const std::string& answer) {
  std::size_t at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

using Writer = std::shared_ptr<ResponseWriter>;
inline const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

inline HttpResponse text(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.content_type = "text/plain";
  return response;
}

inline std::string post_request(const std::string& body) {
  return "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

// A writer that a handler leaves for the test to use, from the test's own thread.
class Held {
 public:
  ~Held() {
    std::lock_guard lock(mutex_);
    writer_.reset();
  }
  HttpHandler handler() {
    return [this](HttpRequest request, Writer writer) {
      std::lock_guard lock(mutex_);
      request_ = std::move(request);
      writer_ = std::move(writer);
    };
  }
  Writer take() {
    Writer out;
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex_);
      out = std::move(writer_);
      return out != nullptr;
    }));
    return out;
  }
  // The request and its body, and what counts them.
  void forget() {
    std::lock_guard lock(mutex_);
    request_ = {};
  }
  HttpRequest request() {
    std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  std::mutex mutex_;
  HttpRequest request_;
  Writer writer_;
};

}  // namespace pagoda
