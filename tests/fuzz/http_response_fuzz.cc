// Answers of a server that may be hostile, whole and in pieces; what streams is read as server-sent events.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "http/response_parser.h"
#include "http/sse_reader.h"
#include "http/url.h"

namespace {

struct Outcome {
  bool ok = true, done = false;
  int status = 0, num_events = 0;
  std::string body;
  bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t piece) {
  pagoda::ResponseParser parser(false);
  pagoda::SseReader events;
  Outcome outcome;
  auto count = [&](std::string_view) { return ++outcome.num_events < 100; };
  bool reading = true;  // until count has had enough: a reader that was stopped is not fed again
  for (std::size_t at = 0; at < bytes.size() && outcome.ok && !parser.done(); at += piece) {
    outcome.ok = parser.feed(bytes.substr(at, piece)).ok();
    if (!parser.head_done()) continue;
    std::string some = parser.take_body();
    reading = reading && events.feed(some, count);
    outcome.body += some;
  }
  if (outcome.ok && !parser.done()) outcome.ok = parser.finish().ok();
  if (!outcome.ok) return {.ok = false};  // how far it came depends on the pieces
  outcome.done = parser.done();
  pagoda::HttpResponse head;
  parser.take_head(&head);
  outcome.status = head.status;
  if (reading) (void)events.finish(count);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, std::max<std::size_t>(size, 1));
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}})
    PAGODA_CHECK(parse(bytes, piece) == whole, "the same bytes mean something else in pieces");
  (void)pagoda::parse_url(std::string(bytes.substr(0, 300)));
  return 0;
}
