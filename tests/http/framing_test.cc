// Request framing, told over a bare socket: what is answered, and whether the connection may go on.
#include "http/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

constexpr bool kKept = true, kClosed = false;

struct FramingCase {
  const char* name;
  std::string bytes;
  int status;
  bool kept;
};

std::string get(const std::string& fields) {
  return "GET / HTTP/1.1\r\n" + fields + "\r\n";
}
std::string post(const std::string& fields, const std::string& body) {
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}
std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}
std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::vector<FramingCase> request_line_cases() {
  return {
      {"plain", get("Host: a\r\n"), 200, kKept},
      {"one empty line before", "\r\n" + get("Host: a\r\n"), 200, kKept},
      {"two empty lines before", "\r\n\r\n" + get("Host: a\r\n"), 400, kClosed},
      {"absolute form", "GET http://a.b:80/ HTTP/1.1\r\nHost: a.b:80\r\n\r\n", 200, kKept},
      {"absolute form without path", "GET http://a?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", 200, kKept},
      {"absolute form with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"absolute form with a password", "GET http://u:p@a?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"absolute form, '@' behind the host", "GET http://a/?x=u:p@b HTTP/1.1\r\nHost: a\r\n\r\n", 200, kKept},
      {"absolute form without host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"other scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"relative target", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"star for OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, kKept},
      {"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"space in target", "GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"tab for space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"escape", "GET /%2e HTTP/1.1\r\nHost: a\r\n\r\n", 404, kKept},
      {"escaped slash", "GET %2f HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"NUL escape", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"short escape", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"raw UTF-8 target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"no version", "GET /\r\nHost: a\r\n\r\n", 400, kClosed},
      {"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, kClosed},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, kClosed},
      {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, kClosed},
      {"long version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, kClosed},
      {"method with brackets", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405, kKept},
      {"long method", std::string(40, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kClosed},
      {"long target", "GET /" + std::string(17000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, kClosed},
      {"target without an end", "GET /" + std::string(20000, 'a'), 414, kClosed},
      {"TLS hello on a plain port", std::string("\x16\x03\x01\x02\x00\x01\x00", 7), 400, kClosed},
  };
}

std::vector<FramingCase> field_cases() {
  return {
      {"no Host", get(""), 400, kClosed},
      {"two Hosts", get("Host: a\r\nHost: a\r\n"), 400, kClosed},
      {"two Authorizations", get("Host: a\r\nAuthorization: a\r\nX: b\r\nauthorization: a\r\n"), 400,
       kClosed},
      {"two Origins", get("Host: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n"), 400, kClosed},
      {"two Content-Types", get("Host: a\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n"), 400, kClosed},
      {"two expectations", get("Host: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n"), 400, kClosed},
      {"two wanted methods",
       get("Host: a\r\nAccess-Control-Request-Method: a\r\nAccess-Control-Request-Method: b\r\n"), 400,
       kClosed},
      {"two of what may be a list", get("Host: a\r\nAccept: a\r\nAccept: b\r\n"), 200, kKept},
      {"Host with a path", get("Host: a/b\r\n"), 400, kClosed},
      {"Host with a comma", get("Host: a,b\r\n"), 400, kClosed},
      {"IPv6 Host", get("Host: [::1]:8000\r\n"), 200, kKept},
      {"bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", 400, kClosed},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, kClosed},
      {"bare CR in a field", get("Host: a\r\nX: b\rc\r\n"), 400, kClosed},
      {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, kClosed},
      {"NUL in a field", get(std::string("Host: a\r\nX: b\0c\r\n", 17)), 400, kClosed},
      {"obs-fold with a space", get("Host: a\r\nX: b\r\n c\r\n"), 400, kClosed},
      {"obs-fold with a tab", get("Host: a\r\nX: b\r\n\tc\r\n"), 400, kClosed},
      {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, kClosed},
      {"space before the colon", get("Host: a\r\nContent-Length : 0\r\n"), 400, kClosed},
      {"tab before the colon", get("Host: a\r\nX\t: 0\r\n"), 400, kClosed},
      {"no colon", get("Host: a\r\nfoo\r\n"), 400, kClosed},
      {"empty name", get("Host: a\r\n: b\r\n"), 400, kClosed},
      {"name in UTF-8", get("Host: a\r\nX\xc3\xa4: b\r\n"), 400, kClosed},
      {"value in UTF-8", get("Host: a\r\nX: \xc3\xa4\r\n"), 200, kKept},
      {"empty value", get("Host: a\r\nX:\r\n"), 200, kKept},
      {"256 fields", get("Host: a\r\n" + repeated("X: b\r\n", 255)), 200, kKept},
      {"257 fields", get("Host: a\r\n" + repeated("X: b\r\n", 256)), 431, kClosed},
      {"large field", get("Host: a\r\nX: " + std::string(70000, 'b') + "\r\n"), 431, kClosed},
      {"Connection: close", get("Host: a\r\nConnection: foo, Close\r\n"), 200, kClosed},
      {"unknown expectation", get("Host: a\r\nExpect: tea\r\n"), 417, kClosed},
      {"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200, kClosed},
      {"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, kClosed},
      {"HTTP/1.0 two Hosts", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, kClosed},
  };
}

std::vector<FramingCase> length_cases() {
  return {
      {"length", post("Content-Length: 3\r\n", "abc"), 200, kKept},
      {"length 0", post("Content-Length: 0\r\n", ""), 200, kKept},
      {"no length", post("", ""), 200, kKept},
      {"leading zeros", post("Content-Length: 0003\r\n", "abc"), 200, kKept},
      {"differing lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400, kClosed},
      {"the same length twice", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400, kClosed},
      {"list of lengths", post("Content-Length: 3, 3\r\n", "abc"), 400, kClosed},
      {"negative length", post("Content-Length: -3\r\n", "abc"), 400, kClosed},
      {"signed length", post("Content-Length: +3\r\n", "abc"), 400, kClosed},
      {"hex length", post("Content-Length: 0x3\r\n", "abc"), 400, kClosed},
      {"length with a space", post("Content-Length: 3 4\r\n", "abc"), 400, kClosed},
      {"empty length", post("Content-Length:\r\n", "abc"), 400, kClosed},
      {"length over 64 bits", post("Content-Length: 18446744073709551619\r\n", "abc"), 400, kClosed},
      {"length over the limit", post("Content-Length: 100001\r\n", ""), 413, kClosed},
      {"length far over the limit", post("Content-Length: 999999999999999999\r\n", "abc"), 413, kClosed},
      {"over the limit, with 100-continue", post("Content-Length: 100001\r\nExpect: 100-continue\r\n", ""),
       413, kClosed},
  };
}

std::vector<FramingCase> encoding_cases() {
  auto encoding = [](const std::string& value) {
    return post("Transfer-Encoding: " + value + "\r\n", "3\r\nabc\r\n0\r\n\r\n");
  };
  return {
      {"chunked", encoding("chunked"), 200, kKept},
      {"Chunked", encoding("Chunked"), 200, kKept},
      {"xchunked", encoding("xchunked"), 400, kClosed},
      {"quoted", encoding("\"chunked\""), 400, kClosed},
      {"with a vertical tab",
       encoding("\x0b"
                "chunked"),
       400, kClosed},
      {"chunked, identity", encoding("chunked, identity"), 400, kClosed},
      {"identity, chunked", encoding("identity, chunked"), 400, kClosed},
      {"identity", encoding("identity"), 400, kClosed},
      {"chunked twice", encoding("chunked, chunked"), 400, kClosed},
      {"chunked with a parameter", encoding("chunked;q=1"), 400, kClosed},
      {"empty", encoding(""), 400, kClosed},
      {"gzip", encoding("gzip"), 501, kClosed},
      {"gzip, chunked", encoding("gzip, chunked"), 501, kClosed},
      {"two headers", encoding("chunked\r\nTransfer-Encoding: identity"), 400, kClosed},
      {"two headers chunked", encoding("chunked\r\nTransfer-Encoding: chunked"), 400, kClosed},
      {"with a length", encoding("chunked\r\nContent-Length: 13"), 400, kClosed},
      {"with a length before", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
       kClosed},
      {"in HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, kClosed},
  };
}

std::vector<FramingCase> chunk_cases() {
  return {
      {"two chunks", chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 200, kKept},
      {"extension", chunked("3;a=b\r\nabc\r\n0\r\n\r\n"), 200, kKept},
      {"trailer", chunked("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), 200, kKept},
      {"zeros before the size", chunked("0003\r\nabc\r\n0\r\n\r\n"), 200, kKept},
      {"no size", chunked("\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"size not hex", chunked("g\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"size with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"negative size", chunked("-3\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"signed size", chunked("+3\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"space before the size", chunked(" 3\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"blanks after the size", chunked("3 \t\r\nabc\r\n0 \r\n\r\n"), 200, kKept},
      {"two sizes", chunked("3 3\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"size over 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"largest 64-bit size", chunked("ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 413, kClosed},
      {"size line with a bare LF", chunked("3\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"bare LF in an extension", chunked("3;a\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"bare CR in an extension", chunked("3;a\rb\r\nabc\r\n0\r\n\r\n"), 400, kClosed},
      {"data longer than its size", chunked("3\r\nabcd\r\n0\r\n\r\n"), 400, kClosed},
      {"data ended by a bare LF", chunked("3\r\nabc\n0\r\n\r\n"), 400, kClosed},
      {"trailer with a bare LF", chunked("3\r\nabc\r\n0\r\nX: y\n\r\n"), 400, kClosed},
      {"endless size line", chunked("3;" + std::string(40000, 'a')), 400, kClosed},
      {"endless trailers", chunked("0\r\n" + repeated("X: y\r\n", 12000)), 400, kClosed},
      {"one chunk over the limit", chunked("186a1\r\n"), 413, kClosed},
      {"chunks over the limit together",
       chunked("186a0\r\n" + std::string(100000, 'x') + "\r\n1\r\nx\r\n0\r\n\r\n"), 413, kClosed},
  };
}

class Framing : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpServerConfig config = local_config();
    config.body_bytes_max = 100000;
    config.header_timeout_s = config.body_timeout_s = 20;
    server_ = make_server(config);
    start(server_.get());
  }
  // Sends the bytes, whole or in pieces, and then asks for "/" once more.
  void check(const FramingCase& one, std::size_t piece) {
    RawClient client(server_->port());
    for (std::size_t at = 0; at < one.bytes.size(); at += piece) client.send(one.bytes.substr(at, piece));
    std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), one.status) << answer;
    if (one.status >= 400) {
      EXPECT_NE(answer.find("\"error\":" + std::to_string(one.status)), std::string::npos) << answer;
    }
    EXPECT_EQ(answer.find("connection: close") == std::string::npos, one.kept) << answer;
    client.send(get("Host: a\r\n"));
    std::string second = one.kept ? client.read_answer() : client.read_all();
    EXPECT_EQ(status_of(second), one.kept ? 200 : 0) << second;
  }
  void check_all(const std::vector<FramingCase>& cases) {
    for (const FramingCase& one : cases) {
      SCOPED_TRACE(one.name);
      check(one, one.bytes.size());
      if (one.bytes.size() < 200) check(one, 1);
    }
  }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(Framing, RequestLines) {
  check_all(request_line_cases());
}
TEST_F(Framing, Fields) {
  check_all(field_cases());
}
TEST_F(Framing, ContentLengths) {
  check_all(length_cases());
}
TEST_F(Framing, TransferEncodings) {
  check_all(encoding_cases());
}
TEST_F(Framing, Chunks) {
  check_all(chunk_cases());
}

TEST_F(Framing, ASmuggledRequestIsNeverServed) {
  // To a proxy that believes the length this is one request; to a server that believes the coding it is two.
  RawClient client(server_->port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
      get("Host: a\r\n"));
  std::string all = client.read_all();
  EXPECT_EQ(status_of(all), 400);
  EXPECT_EQ(all.find("hello"), std::string::npos);
}

TEST(PercentDecode, KnowsItsEscapes) {
  EXPECT_EQ(percent_decode("/a%20b%C3%a4"), "/a b\xc3\xa4");
  EXPECT_EQ(percent_decode("%41%61"), "Aa");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  for (const char* wrong : {"%", "%4", "%4g", "%g4", "%00", "a%", "%%20"})
    EXPECT_FALSE(percent_decode(wrong)) << wrong;
}

TEST(HeadScanner, FindsTheSameEndInAnyPieces) {
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  std::string in = head + "rest\n";
  for (std::size_t cut = 0; cut <= head.size(); ++cut) {
    HeadScanner scanner{HeadLimits()};
    std::size_t end = scanner.scan(std::string_view(in).substr(0, cut));
    if (cut < head.size()) {
      EXPECT_EQ(end, 0u);
      end = scanner.scan(in);
    }
    EXPECT_EQ(end, head.size());
    EXPECT_EQ(scanner.error().status, 0);
  }
}

}  // namespace
}  // namespace pagoda
