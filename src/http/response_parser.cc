#include "http/response_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>
#include <utility>

#include "http/append_body.h"
#include "http/framing.h"

namespace pagoda {

namespace http = boost::beast::http;
using boost::system::error_code;

namespace {
constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kUnparsedBytesMax = 128 * 1024;
}  // namespace

struct ResponseParser::Beast {
  http::response_parser<AppendBody> parser;
};

ResponseParser::ResponseParser(bool head_only) : head_only_(head_only) {
  start_over();
}

void ResponseParser::start_over() {
  beast_ = std::make_unique<Beast>();
  beast_->parser.header_limit(kHeadBytesMax);
  beast_->parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  beast_->parser.skip(head_only_);
}
ResponseParser::~ResponseParser() = default;

bool ResponseParser::head_done() const {
  return beast_->parser.is_header_done();
}
bool ResponseParser::done() const {
  return beast_->parser.is_done();
}

bool ResponseParser::leaves_connection_open() const {
  return in_.empty() && beast_->parser.keep_alive();
}

Status ResponseParser::feed(std::string_view bytes) {
  in_ += bytes;
  std::size_t taken = 0;
  while (taken < in_.size() && !done()) {
    std::size_t before = taken;
    PAGODA_RETURN_IF_ERROR(feed_one(std::string_view(in_).substr(taken), &taken));
    if (taken == before) break;
  }
  in_.erase(0, taken);
  if (in_.size() > kUnparsedBytesMax) return io_error("its headers or chunk sizes are too long");
  return {};
}

Status ResponseParser::feed_one(std::string_view bytes, std::size_t* taken) {
  auto& parser = beast_->parser;
  bool had_head = head_done();
  error_code ec;
  *taken += parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
  if (ec == http::error::need_more) return {};
  if (ec) return io_error("it is not valid HTTP: " + ec.message());
  if (had_head || !head_done()) return {};
  // 100 Continue and its like come before the answer itself.
  if (parser.get().result_int() < 200) {
    start_over();
    return {};
  }
  auto encoding = parser.get().base()[http::field::transfer_encoding];
  if (!encoding.empty() && !parser.chunked()) return io_error("its Transfer-Encoding is not 'chunked'");
  parser.eager(true);
  return {};
}

Status ResponseParser::finish() {
  error_code ec;
  if (!head_done()) return io_error("the connection closed before the headers had come");
  if (done()) return {};
  beast_->parser.put_eof(ec);
  if (ec) return io_error("the connection closed in the middle of the body");
  return {};
}

void ResponseParser::take_head(HttpResponse* out) {
  const auto& message = beast_->parser.get();
  out->status = static_cast<int>(message.result_int());
  for (const auto& field : message.base()) {
    auto name = field.name_string();
    auto value = field.value();
    out->headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
}

std::string ResponseParser::take_body() {
  return std::exchange(beast_->parser.get().body(), {});
}

}  // namespace pagoda
