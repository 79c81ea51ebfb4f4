#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "loadgen/synthetic_text.h"
#include "http/sse_reader.h"

namespace pagoda {

// What every request of a load has in common.
struct RequestStyle {
  bool chat = false;  // /v1/chat/completions, otherwise /v1/completions
  std::string model;
  bool ignore_eos = false;
  std::optional<int64_t> logprobs;
  Object extra_body;  // sampling parameters and whatever else; wins over the rest
};

// The JSON body for one prompt, streamed and with usage asked for.
std::string request_body(const RequestStyle& style, const BenchPrompt& prompt);

// What came of one request. Times in seconds.
struct RequestRecord {
  bool success = false;
  std::string error;
  double start_time = 0;         // when it was sent, after the start of the run
  double client_queue_time = 0;  // from its arrival to being sent
  double ttft = 0;               // from being sent to the first chunk with content
  double latency = 0;            // from being sent to the last chunk
  std::vector<double> itls;      // gaps between chunks with content
  std::string generated_text;
  int64_t prompt_len = 0, output_len = 0;  // by the server's usage where it gives one
  bool has_usage = false;                  // otherwise output_len counts chunks
  int64_t num_chunks() const { return success ? 1 + std::ssize(itls) : 0; }
};

// Reads one streamed answer. Servers differ in what they send besides content (role chunks, empty chunks, a
// finish chunk of its own, comments, usage in a last chunk or in every one); the rules are:
//   content is text, reasoning or a tool call that is not empty, or an empty text without finish_reason: a
//   token whose characters are not complete yet; a chat's role chunk is not content;
//   the first content is the first token; a finish without any content stands for one;
//   a last chunk that has no content is a token (one without text, such as the end of text) if the server's
//   usage counts more tokens than there were chunks before it.
class AnswerReader {
 public:
  // `record` outlives the reader. `sent`: the clock when the request was sent.
  AnswerReader(RequestRecord* record, bool chat, bool keep_text, double sent)
      : record_(record), chat_(chat), keep_text_(keep_text), sent_(sent) {}

  // Bytes of the body that arrived at `now`; false: the server reported an error, hang up.
  bool feed(std::string_view bytes, double now);
  // The end: fills the record's lengths, and success or error. `transport` as the client has it.
  void finish(const Status& transport, int http_status, const std::string& error_body, double now);

 private:
  bool on_event(std::string_view data, double now);
  void on_choice(const Value& choice, double now);
  bool has_content(const Value& choice, bool finishes);
  void fail(const std::string& message);

  RequestRecord* record_;
  SseReader sse_;
  const bool chat_, keep_text_;
  const double sent_;
  double last_content_ = 0;
  std::optional<double> finish_gap_;  // from the last content to a finish without content
  bool has_first_ = false, complete_ = false;
  std::optional<int64_t> completion_tokens_, prompt_tokens_;
};

}  // namespace pagoda
