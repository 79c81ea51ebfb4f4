// A request means the same whole and in pieces, whatever it is.
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "http/request_parser.h"

using pagoda::RequestParser;

namespace {

constexpr std::size_t kBodyBytesMax = 4096;

struct Outcome {
  RequestParser::State state;
  int status;
  std::string method, path, query, body;
  bool operator==(const Outcome&) const = default;
};

// `piece`: bytes that come at a time.
Outcome parse(std::string_view bytes, std::size_t piece) {
  RequestParser parser({.header_bytes_max = 4096, .header_count_max = 20, .target_bytes_max = 512},
                       kBodyBytesMax);
  std::string unread;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min(piece, bytes.size() - at);
    unread.append(bytes.substr(at, size));
    at += size;
    for (;;) {
      const auto before = parser.state();
      const std::size_t taken = parser.feed(unread);
      PAGODA_CHECK(taken <= unread.size(), "more is taken than there is");
      unread.erase(0, taken);
      if (parser.state() == RequestParser::State::kDone || parser.state() == RequestParser::State::kFailed)
        at = bytes.size();
      if (taken == 0 && parser.state() == before) break;
      if (at == bytes.size() && unread.empty()) break;
      if (parser.state() == RequestParser::State::kDone || parser.state() == RequestParser::State::kFailed)
        break;
    }
  }
  Outcome outcome{parser.state(), parser.error().status, {}, {}, {}, {}};
  if (parser.state() != RequestParser::State::kDone) return outcome;
  pagoda::HttpRequest request = parser.take_head();
  outcome.method = request.method;
  outcome.path = request.path;
  outcome.query = request.query;
  outcome.body = parser.take_body();
  PAGODA_CHECK(outcome.body.size() <= kBodyBytesMax, "the bound of bodies");
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, size == 0 ? 1 : size);
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}})
    PAGODA_CHECK(parse(bytes, piece) == whole, "the same bytes mean something else in pieces");
  return 0;
}
