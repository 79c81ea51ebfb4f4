// Bytes to one HttpRequest: the judge of framing.h first, then Beast's parser for fields and body. Beast
// lives in the .cc.
#pragma once
#include <cstddef>
#include <memory>
#include <string_view>

#include "http/framing.h"
#include "http/message.h"

namespace pagoda {

class RequestParser {
 public:
  enum class State { kHead, kBody, kDone, kFailed };

  RequestParser(const HeadLimits& limits, std::size_t body_bytes_max);
  ~RequestParser();

  // Reads from the front of `in` and returns how many bytes were taken; the rest must be offered again with
  // what follows. While the head is incomplete nothing is taken, and `in` must only grow.
  std::size_t feed(std::string_view in);
  State state() const { return state_; }
  const HttpError& error() const { return error_; }  // in kFailed
  const RequestHead& head() const { return head_; }  // after kHead
  // In kDone. remote_address is left to the caller.
  HttpRequest take();

 private:
  struct Beast;

  void fail(HttpError error);
  std::size_t feed_head(std::string_view in);
  std::size_t feed_body(std::string_view in);
  void judge_unfinished_lines(std::string_view rest);

  HeadLimits limits_;
  std::size_t body_bytes_max_;
  State state_ = State::kHead;
  HttpError error_;
  RequestHead head_;
  HeadScanner scanner_;
  HttpHeaders headers_;
  std::unique_ptr<Beast> beast_;
};

}  // namespace pagoda
