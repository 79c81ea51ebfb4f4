#include "http/request_parser.h"

#include <algorithm>
#include <utility>

namespace pagoda {

namespace {
constexpr std::size_t kMuch = 1 << 20;
}  // namespace

RequestParser::RequestParser(const HeadLimits& limits, std::size_t body_bytes_max)
    : limits_(limits), body_bytes_max_(body_bytes_max), scanner_(limits), chunks_(body_bytes_max) {}

void RequestParser::fail(HttpError error) {
  error_ = std::move(error);
  state_ = State::kFailed;
}

HttpError RequestParser::over_limit() const {
  return {413, "The request body is over the limit of " + std::to_string(body_bytes_max_) + " bytes."};
}

void RequestParser::lower_body_limit(std::size_t body_bytes_max) {
  if (body_bytes_max >= body_bytes_max_) return;
  body_bytes_max_ = body_bytes_max;
  chunks_ = ChunkedReader(body_bytes_max);
  if (head_.content_length.value_or(0) > body_bytes_max) fail(over_limit());
}

std::size_t RequestParser::feed(std::string_view in) {
  if (state_ == State::kHead) return feed_head(in);
  return state_ == State::kBody ? feed_body(in) : 0;
}

std::size_t RequestParser::feed_head(std::string_view in) {
  std::size_t end = scanner_.scan(in);
  if (scanner_.error().status != 0) fail(scanner_.error());
  if (end == 0) return 0;
  HttpError error = check_head(in.substr(0, end), limits_, &head_);
  if (error.status == 0 && head_.content_length.value_or(0) > body_bytes_max_) error = over_limit();
  if (error.status != 0) {
    fail(std::move(error));
    return 0;
  }
  state_ = head_.has_body() ? State::kBody : State::kDone;
  return end;
}

std::size_t RequestParser::feed_body(std::string_view in) {
  std::size_t taken;
  bool complete;
  if (head_.chunked) {
    taken = chunks_.feed(in, &body_);
    complete = chunks_.done();
  } else {
    const auto length = static_cast<std::size_t>(*head_.content_length);
    taken = std::min(in.size(), length - body_.size());
    // A head of 60 bytes that announces the whole limit gets no memory for it. After much has come there is
    // room for all, which is no memory either before it is written to, and saves copies of what there is.
    if (body_.capacity() < body_.size() + taken)
      body_.reserve(body_.size() < kMuch ? std::min(length, 2 * body_.size() + taken) : length);
    body_.append(in.substr(0, taken));
    complete = body_.size() == length;
  }
  if (chunks_.error().status == 413)
    fail(over_limit());
  else if (chunks_.error().status != 0)
    fail(chunks_.error());
  else if (complete)
    state_ = State::kDone;
  return taken;
}

HttpRequest RequestParser::take_head() {
  HttpRequest request;
  request.method = std::move(head_.method);
  request.target = std::move(head_.target);
  request.path = std::move(head_.path);
  request.query = std::move(head_.query);
  request.headers = std::move(head_.headers);
  return request;
}

}  // namespace pagoda
