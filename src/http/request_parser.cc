#include "http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

#include "http/append_body.h"

namespace pagoda {

namespace http = boost::beast::http;
using boost::system::error_code;

namespace {
// A chunk's size line, or all trailers together. More is no honest client.
constexpr std::size_t kChunkLineBytesMax = 16 * 1024;
}  // namespace

struct RequestParser::Beast {
  http::request_parser<AppendBody> parser;
};

RequestParser::RequestParser(const HeadLimits& limits, std::size_t body_bytes_max)
    : limits_(limits), body_bytes_max_(body_bytes_max), scanner_(limits) {}
RequestParser::~RequestParser() = default;

void RequestParser::fail(HttpError error) {
  error_ = std::move(error);
  state_ = State::kFailed;
}

std::size_t RequestParser::feed(std::string_view in) {
  std::size_t taken = 0;
  if (state_ == State::kHead) taken = feed_head(in);
  if (state_ == State::kBody) taken += feed_body(in.substr(taken));
  return taken;
}

std::size_t RequestParser::feed_head(std::string_view in) {
  std::size_t end = scanner_.scan(in);
  if (scanner_.error().status != 0) fail(scanner_.error());
  if (end == 0) return 0;
  std::string_view head = in.substr(0, end);
  HttpError error = judge_head(head, limits_, &head_);
  if (error.status == 0 && head_.content_length.value_or(0) > body_bytes_max_)
    error = {413, "The request body is over the limit of " + std::to_string(body_bytes_max_) + " bytes."};
  if (error.status != 0) {
    fail(std::move(error));
    return 0;
  }
  beast_ = std::make_unique<Beast>();
  http::request_parser<AppendBody>& parser = beast_->parser;
  parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max + 1));
  parser.body_limit(body_bytes_max_);
  error_code ec;
  parser.put(boost::asio::buffer(head.data(), head.size()), ec);
  if (ec || !parser.is_header_done() || parser.chunked() != head_.chunked) {
    fail({400, "The request's head is not valid."});
    return 0;
  }
  for (const auto& field : parser.get().base()) {
    auto name = field.name_string();
    auto value = field.value();
    headers_.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  parser.eager(true);
  state_ = parser.is_done() || (!head_.chunked && head_.content_length.value_or(0) == 0) ? State::kDone
                                                                                         : State::kBody;
  return end;
}

std::size_t RequestParser::feed_body(std::string_view in) {
  http::request_parser<AppendBody>& parser = beast_->parser;
  std::size_t taken = 0;
  while (taken < in.size() && !parser.is_done()) {
    error_code ec;
    std::size_t n = parser.put(boost::asio::buffer(in.data() + taken, in.size() - taken), ec);
    taken += n;
    if (ec == http::error::need_more) break;
    if (ec == http::error::body_limit) {
      fail({413, "The request body is over the limit of " + std::to_string(body_bytes_max_) + " bytes."});
      return taken;
    }
    if (ec || n == 0) {
      fail({400, "The chunked request body is not valid."});
      return taken;
    }
  }
  if (parser.is_done()) {
    state_ = State::kDone;
  } else {
    judge_unfinished_lines(in.substr(taken));
  }
  return taken;
}

// What Beast leaves is the start of a size line or of the trailers, for whose end it would wait until the
// time is over.
void RequestParser::judge_unfinished_lines(std::string_view rest) {
  if (rest.size() > kChunkLineBytesMax)
    return fail({400, "A chunk's size line, or the trailers, are too long."});
  for (std::size_t i = 0; i < rest.size(); ++i)
    if (rest[i] == '\n' && (i == 0 || rest[i - 1] != '\r'))
      return fail({400, "A line of the chunked request body does not end in CR LF."});
}

HttpRequest RequestParser::take() {
  HttpRequest request;
  request.method = std::move(head_.method);
  request.target = std::move(head_.target);
  request.path = std::move(head_.path);
  request.query = std::move(head_.query);
  request.headers = std::move(headers_);
  request.body = std::move(beast_->parser.get().body());
  return request;
}

}  // namespace pagoda
