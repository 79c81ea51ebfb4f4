// Bytes to one answer, for the client. Internal to this room.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/chunked_reader.h"
#include "http/framing.h"
#include "http/message.h"

namespace pagoda {

class ResponseParser {
 public:
  explicit ResponseParser(bool head_only);
  // Errors kIo say what is wrong with the answer.
  Status feed(std::string_view bytes);
  // The server closed: an error unless the answer's end is the connection's.
  Status finish();
  bool head_done() const { return state_ != State::kHead; }
  bool done() const { return state_ == State::kDone; }
  // Requires: done(). The connection may carry another request: nothing follows this answer, and neither side
  // ends the connection after it.
  bool leaves_connection_open() const { return in_.empty() && head_.keep_alive && !until_close_; }
  // Once, after head_done(): status and headers.
  void take_head(HttpResponse* out);
  // What has come of the body since the last call.
  std::string take_body();

 private:
  enum class State { kHead, kBody, kDone };
  Status feed_head(std::size_t* taken);
  Status feed_body(std::size_t* taken);
  void begin_body();

  const bool head_only_;
  State state_ = State::kHead;
  std::string in_;  // received, not yet parsed
  HeadScanner scanner_;
  AnswerHead head_;
  ChunkedReader chunks_;
  std::uint64_t body_left_ = 0;
  bool until_close_ = false;
  int num_interim_ = 0;
  std::string body_;
};

}  // namespace pagoda
