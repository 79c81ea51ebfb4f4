// The ResponseWriter of one request: turns calls from any thread into bytes in the connection's outbox.
// Internal to this room.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "http/connection.h"

namespace pagoda {

class Exchange final : public ResponseWriter {
 public:
  Exchange(std::shared_ptr<Connection> connection, AnswerFrame frame);
  // An answer that was never begun becomes a 500; one that was never finished is cut off, so that the client
  // can tell.
  ~Exchange() override;

  void send(HttpResponse response) override;
  void start_stream(int status, std::string content_type, HttpHeaders headers) override;
  void write(std::string piece) override;
  void finish() override;
  void post(std::function<void()> task) override;
  void on_close(std::function<void()> callback) override;
  bool closed() const override;
  bool writable(std::function<void()> when) override;

 private:
  enum class State { kNew, kStreaming, kDone };
  // Requires: the outbox's mutex is held.
  void append(std::string&& bytes);
  void complete(std::function<void()>* dropped);

  std::shared_ptr<Connection> connection_;
  const AnswerFrame frame_;
  State state_ = State::kNew;  // under the outbox's mutex
  bool bodyless_ = false;      // pieces are thrown away: HEAD, 204, 304
};

}  // namespace pagoda
