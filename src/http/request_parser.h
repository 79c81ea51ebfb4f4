// Bytes to one HttpRequest: its head by the checks of framing.h, then its body, by length or by chunks.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "http/chunked_reader.h"
#include "http/framing.h"
#include "http/message.h"

namespace pagoda {

class RequestParser {
 public:
  enum class State { kHead, kBody, kDone, kFailed };

  RequestParser(const HeadLimits& limits, std::size_t body_bytes_max);

  // Reads from the front of `in` and returns how many bytes were taken; the rest must be offered again with
  // what follows. While the head is incomplete nothing is taken, and `in` must only grow; what follows a head
  // is left for the next call, so that the head can be checked before anything is kept of the body.
  std::size_t feed(std::string_view in);
  State state() const { return state_; }
  const HttpError& error() const { return error_; }        // in kFailed
  const RequestHead& head() const { return head_; }        // after kHead
  std::size_t body_bytes() const { return body_.size(); }  // so far
  // After kHead and before the body's first byte: a lower limit than the one so far.
  void lower_body_limit(std::size_t body_bytes_max);
  // After kHead, once: all but the body and what the connection knows.
  HttpRequest take_head();
  // In kDone, once.
  std::string take_body() { return std::move(body_); }

 private:
  void fail(HttpError error);
  std::size_t feed_head(std::string_view in);
  std::size_t feed_body(std::string_view in);
  HttpError over_limit() const;

  HeadLimits limits_;
  std::size_t body_bytes_max_;
  State state_ = State::kHead;
  HttpError error_;
  RequestHead head_;
  HeadScanner scanner_;
  ChunkedReader chunks_;
  std::string body_;
};

}  // namespace pagoda
