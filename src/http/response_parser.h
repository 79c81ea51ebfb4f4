// Bytes to one answer, for the client; Beast lives in the .cc. Internal to this room.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/message.h"

namespace pagoda {

class ResponseParser {
 public:
  explicit ResponseParser(bool head_only);
  ~ResponseParser();
  // Errors kIo say what is wrong with the answer.
  Status feed(std::string_view bytes);
  // The server closed: an error unless the answer's end is the connection's.
  Status finish();
  bool head_done() const;
  bool done() const;
  // Requires: done(). The connection may carry another request: nothing follows this answer, and neither side
  // ends the connection after it.
  bool leaves_connection_open() const;
  // Once, after head_done(): status and headers.
  void take_head(HttpResponse* out);
  // What has come of the body since the last call.
  std::string take_body();

 private:
  struct Beast;
  void start_over();
  Status feed_one(std::string_view bytes, std::size_t* taken);
  bool head_only_;
  std::string in_;
  std::unique_ptr<Beast> beast_;
};

}  // namespace pagoda
