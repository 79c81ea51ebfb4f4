#include "http/response_parser.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace pagoda {
namespace {

// There is no target, whose limit would come first.
constexpr HeadLimits kLimits{
    .header_bytes_max = 64 * 1024, .header_count_max = 1024, .target_bytes_max = 64 * 1024};
constexpr int kInterimMax = 16;  // 100 Continue and its like
constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();

Status not_http(const HttpError& error) {
  return io_error("it is not valid HTTP: " + error.message);
}

}  // namespace

ResponseParser::ResponseParser(bool head_only) : head_only_(head_only), scanner_(kLimits), chunks_(kAny) {}

Status ResponseParser::feed(std::string_view bytes) {
  in_ += bytes;
  std::size_t taken = 0;
  do {
    taken = 0;
    if (state_ == State::kHead)
      PAGODA_RETURN_IF_ERROR(feed_head(&taken));
    else if (state_ == State::kBody)
      PAGODA_RETURN_IF_ERROR(feed_body(&taken));
    in_.erase(0, taken);
  } while (taken > 0 && !in_.empty());
  return {};
}

Status ResponseParser::feed_head(std::size_t* taken) {
  const std::size_t end = scanner_.scan(in_);
  if (scanner_.error().status != 0) return not_http(scanner_.error());
  if (end == 0) return {};
  *taken = end;
  if (HttpError error = check_answer_head(std::string_view(in_).substr(0, end), &head_); error.status != 0)
    return not_http(error);
  if (head_.status >= 200) {
    begin_body();
    return {};
  }
  // 100 Continue and its like come before the answer itself.
  if (head_.status == 101) return io_error("it changes to a protocol that was not asked for");
  if (++num_interim_ > kInterimMax) return io_error("there are too many answers before the last one");
  head_ = {};
  scanner_ = HeadScanner(kLimits);
  return {};
}

// RFC 9112, section 6.3.
void ResponseParser::begin_body() {
  const bool empty = head_only_ || head_.status == 204 || head_.status == 304;
  until_close_ = !empty && !head_.chunked && !head_.content_length;
  body_left_ = until_close_ ? kAny : head_.content_length.value_or(0);
  state_ = empty || (!head_.chunked && body_left_ == 0) ? State::kDone : State::kBody;
}

Status ResponseParser::feed_body(std::size_t* taken) {
  if (head_.chunked) {
    *taken = chunks_.feed(in_, &body_);
    if (chunks_.error().status != 0) return not_http(chunks_.error());
    if (chunks_.done()) state_ = State::kDone;
    return {};
  }
  *taken = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, in_.size()));
  body_.append(in_, 0, *taken);
  if (!until_close_) body_left_ -= *taken;
  if (body_left_ == 0) state_ = State::kDone;
  return {};
}

Status ResponseParser::finish() {
  if (!head_done()) return io_error("the connection closed before the headers had come");
  if (!done() && !until_close_) return io_error("the connection closed in the middle of the body");
  state_ = State::kDone;
  return {};
}

void ResponseParser::take_head(HttpResponse* out) {
  out->status = head_.status;
  for (auto& field : head_.headers) out->headers.push_back(std::move(field));
}

std::string ResponseParser::take_body() {
  return std::exchange(body_, {});
}

}  // namespace pagoda
