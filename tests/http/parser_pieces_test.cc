// A property of both parsers: what they make of bytes does not depend on the pieces in which these arrive.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "http/request_parser.h"
#include "http/response_parser.h"

namespace pagoda {
namespace {

// The bytes in order, cut at these places.
using Cuts = std::vector<std::size_t>;

constexpr std::size_t kBodyBytesMax = 64;

std::string show(const HttpHeaders& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += name + "=" + value + ";";
  return out;
}

// Everything that was understood, as one text: the requests on a connection, or its error.
std::string read_requests(std::string_view bytes, const Cuts& cuts) {
  std::string out, in;
  RequestParser parser(HeadLimits(), kBodyBytesMax);
  auto advance = [&] {
    for (;;) {
      const auto before = parser.state();
      in.erase(0, parser.feed(in));
      if (parser.state() == RequestParser::State::kDone) {
        HttpRequest request = parser.take_head();
        out += "[" + request.method + " " + request.path + "?" + request.query + " " + show(request.headers) +
               " body=" + parser.take_body() + "]";
        parser = RequestParser(HeadLimits(), kBodyBytesMax);
      } else if (parser.state() == before) {
        return;
      }
    }
  };
  std::size_t from = 0;
  for (std::size_t cut : cuts) {
    in += bytes.substr(from, cut - from);
    from = cut;
    advance();
    if (parser.state() == RequestParser::State::kFailed)
      return out + std::to_string(parser.error().status) + " " + parser.error().message;
  }
  return out + (parser.state() == RequestParser::State::kHead && in.empty() ? "end" : "unfinished");
}

std::string read_response(std::string_view bytes, const Cuts& cuts, bool head_only = false) {
  ResponseParser parser(head_only);
  HttpResponse response;
  bool has_head = false;
  std::size_t from = 0;
  for (std::size_t cut : cuts) {
    Status status = parser.feed(bytes.substr(from, cut - from));
    from = cut;
    response.body += parser.take_body();
    if (!status.ok()) return "after " + response.body + ": " + status.message();
    if (parser.head_done() && !std::exchange(has_head, true)) parser.take_head(&response);
  }
  std::string out = std::to_string(response.status) + " " + show(response.headers) + " body=" + response.body;
  if (parser.done()) return out + (parser.leaves_connection_open() ? " open" : " closed");
  Status end = parser.finish();
  return out + (end.ok() ? " whole at the end" : " " + end.message());
}

std::string chunked(const std::string& body) {
  return "POST /x?q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body;
}
std::string answer(const std::string& fields, const std::string& body) {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body;
}
const std::string kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const std::string kChunked = "Transfer-Encoding: chunked\r\n";

// Chunked bodies, good and bad: both parsers must take them, or refuse them, in the same way.
std::vector<std::pair<std::string, bool>> chunked_bodies() {
  return {
      {"0\r\n\r\n", true},
      {"3\r\nabc\r\n0\r\n\r\n", true},
      {"3;a=b;c=\"d;e\" ; f\r\nabc\r\n2\r\n\r\n\r\n0;last\r\n\r\n", true},
      {"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n00\r\nX-T: t\r\nY:\r\n\r\n", true},
      {"A\r\n0123456789\r\n0\r\n\r\n", true},
      {"3 ;a = b\r\nabc\r\n0 \r\n\r\n", true},
      {"3\t \r\nabc\r\n0 \t;a\r\n\r\n", true},
      {"0\r\n\r", false},
      {"0\r\n", false},
      {"0\r", false},
      {"0", false},
      {"3\r\nab", false},
      {"\r\n\r\n", false},
      {";\r\n\r\n", false},
      {"0\n\r\n", false},
      {"0\r\n\n", false},
      {"0\r\r\n\r\n", false},
      {"0\r\n\rx", false},
      {"0\r\nX\r\n\r\n", false},
      {"0\r\n X: y\r\n\r\n", false},
      {"0\r\nX: y\rz\r\n\r\n", false},
      {std::string("0;\0\r\n\r\n", 8), false},
      {"3\r\nabcd\r\n0\r\n\r\n", false},
      {"3\r\nabc\n0\r\n\r\n", false},
      {"x\r\n", false},
      {"0x1\r\na\r\n", false},
      {"-1\r\n", false},
      {" 0\r\n\r\n", false},
      {" \r\n\r\n", false},
      {"0 0\r\n\r\n", false},
      {"0 a\r\n\r\n", false},
      {"0 =a\r\n\r\n", false},
      {"0 \n\r\n", false},
      {"0\v;a\r\n\r\n", false},
      {"11111111111111111\r\n", false},
      {"ffffffffffffffff\r\na", false},
  };
}

std::vector<std::string> requests() {
  std::vector<std::string> all = {
      kGet,
      kGet + kGet,
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + kGet,
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + kGet,
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
      "GET / HTTP/1.1\r\nHost: x\r\nX:  a b \r\nx:\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n\r",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n",
      std::string("\x16\x03\x01\x00", 4),
      chunked("40\r\n" + std::string(64, 'x') + "\r\n0\r\n\r\n"),
      chunked("40\r\n" + std::string(64, 'x') + "\r\n1\r\nx\r\n"),
  };
  for (const auto& [body, good] : chunked_bodies()) all.push_back(chunked(body) + (good ? kGet : ""));
  return all;
}

std::vector<std::string> responses() {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  std::vector<std::string> all = {
      answer("Content-Length: 3\r\n", "abc"),
      answer("Content-Length: 3\r\n", "abcd"),
      answer("Content-Length: 3\r\n", "ab"),
      answer("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
      answer("Content-Length: x\r\n", "abc"),
      answer("Content-Length: 0\r\nConnection: close\r\n", ""),
      answer("", "until the end"),
      answer("Transfer-Encoding: gzip\r\n", "abc"),
      interim + interim + answer("Content-Length: 1\r\n", "x"),
      "HTTP/1.1 101 Switching\r\n\r\nxx",
      "HTTP/1.1 204\r\nX: y\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 20\r\n\r\n",
      "HTTP/1.1  200\r\n\r\n",
      "HTTP/1.1 099 x\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "SSH-2.0-x\r\n\r\n",
      "HTTP/1.1 200 OK\n\n",
      "HTTP/1.1 200 O",
      "\r",
  };
  for (int i = 0; i < 20; ++i) all.back() = interim + all.back();
  for (const auto& [body, good] : chunked_bodies()) all.push_back(answer(kChunked, body));
  all.push_back(answer(kChunked, "1\r\na\r\n0\r\n\r\nmore"));
  return all;
}

template <class Read>
void check_all_pieces(const std::string& bytes, const Read& read) {
  SCOPED_TRACE(bytes);
  const std::size_t n = bytes.size();
  const std::string whole = read(bytes, Cuts{n});
  Cuts each;
  for (std::size_t cut = 1; cut < n; ++cut) {
    ASSERT_EQ(read(bytes, Cuts{cut, n}), whole) << "cut at " << cut;
    each.push_back(cut);
  }
  each.push_back(n);
  ASSERT_EQ(read(bytes, each), whole) << "byte by byte";
}

TEST(Pieces, MakeNoDifferenceToRequests) {
  for (const std::string& bytes : requests()) check_all_pieces(bytes, read_requests);
}

TEST(Pieces, MakeNoDifferenceToResponses) {
  for (const std::string& bytes : responses()) {
    check_all_pieces(bytes, [](auto text, auto cuts) { return read_response(text, cuts); });
    check_all_pieces(bytes, [](auto text, auto cuts) { return read_response(text, cuts, true); });
  }
}

// Thousands of messages that are nearly right.
TEST(Pieces, MakeNoDifferenceToDamagedMessages) {
  SplitMix64 random(7);
  auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.next() % n); };
  constexpr std::string_view kBytes("\r\n\0 :;,0123456789afgx\t\x7f\xff", 24);
  auto damage = [&](std::string bytes) {
    for (std::size_t i = 0; i <= below(3); ++i) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes[at] = kBytes[below(kBytes.size())];
          break;
        case 1:
          bytes.insert(at, 1, kBytes[below(kBytes.size())]);
          break;
        case 2:
          if (bytes.size() > 1) bytes.erase(at, 1);
          break;
        default:
          bytes += bytes.substr(at, below(20));
      }
    }
    return bytes;
  };
  auto pieces_of = [&](const std::string& bytes) {
    Cuts cuts;
    for (std::size_t at = 0; at < bytes.size();)
      cuts.push_back(at = std::min(bytes.size(), at + 1 + below(12)));
    return cuts;
  };
  const std::vector<std::string> asked = requests(), answered = responses();
  for (int i = 0; i < 20000; ++i) {
    const std::string request = damage(asked[below(asked.size())]);
    ASSERT_EQ(read_requests(request, pieces_of(request)), read_requests(request, {request.size()}))
        << request;
    const std::string response = damage(answered[below(answered.size())]);
    ASSERT_EQ(read_response(response, pieces_of(response)), read_response(response, {response.size()}))
        << response;
  }
}

TEST(Pieces, BothParsersAgreeOnChunkedBodies) {
  for (const auto& [body, good] : chunked_bodies()) {
    SCOPED_TRACE(body);
    const std::string request = chunked(body), response = answer(kChunked, body);
    const std::string asked = read_requests(request, {request.size()});
    const std::string answered = read_response(response, {response.size()});
    EXPECT_EQ(asked.ends_with("]end"), good) << asked;
    EXPECT_EQ(answered.ends_with(" open"), good) << answered;
  }
}

TEST(ChunkedReader, BoundsWhatIsNotData) {
  auto read = [](const std::string& bytes) {
    ChunkedReader reader(1 << 20);
    std::string data;
    reader.feed(bytes, &data);
    return reader.error().status != 0 ? reader.error().status : reader.done() ? 200 : 0;
  };
  auto times = [](int count, const std::string& text) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const std::string signature(85, 's'), end = "0\r\n\r\n";
  EXPECT_EQ(read("1;" + std::string(17000, 'a')), 400);
  EXPECT_EQ(read("0\r\nX: " + std::string(17000, 'a')), 400);
  EXPECT_EQ(read("0\r\n" + times(5000, "X: y\r\n")), 400);
  EXPECT_EQ(read(times(1000, "1;" + signature + "\r\nx\r\n") + end), 400) << "hardly any data";
  EXPECT_EQ(read(times(1000, "64;" + signature + "\r\n" + std::string(100, 'x') + "\r\n") + end), 200);
  EXPECT_EQ(read(times(20000, "1\r\nx\r\n") + end), 200) << "small chunks alone are no fault";
}

}  // namespace
}  // namespace pagoda
