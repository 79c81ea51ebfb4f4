// The check of a message's head: where it ends, what it says, and whether it may be believed. Stricter than
// RFC 9112 asks for, because each leniency (bare LF, folded fields, a second length) is a place where this
// server and a proxy before it could see different requests. Pure functions of bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace pagoda {

struct HttpError {
  int status = 0;  // 0: none
  std::string message;
};

struct HeadLimits {
  std::size_t header_bytes_max = 64 * 1024;  // request line and fields, with their line ends
  int header_count_max = 256;
  std::size_t target_bytes_max = 16 * 1024;
};

// What a head says about the bytes around it.
struct MessageHead {
  HttpHeaders headers;
  bool http_1_1 = false;
  bool keep_alive = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;
};

struct RequestHead : MessageHead {
  std::string method;
  std::string target;  // as received
  std::string path;    // percent-decoded
  std::string query;   // raw, without '?'
  bool expect_continue = false;
  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

struct AnswerHead : MessageHead {
  int status = 0;
};

// Finds the empty line that ends a head, as bytes arrive. Refuses, as soon as they are seen, what no head may
// contain.
class HeadScanner {
 public:
  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}
  // `in` begins with the head's first byte and only grows between calls. The head's size with its empty line;
  // 0: more bytes are needed, or error() is set.
  std::size_t scan(std::string_view in);
  const HttpError& error() const { return error_; }

 private:
  std::size_t fail(int status, std::string message);

  HeadLimits limits_;
  std::size_t position_ = 0, line_start_ = 0;
  int num_lines_ = 0;
  HttpError error_;
};

// Checks a whole head (ending in an empty line). On success fills `out`; otherwise says the status to answer
// with.
HttpError check_head(std::string_view head, const HeadLimits& limits, RequestHead* out);
// The same of an answer's head, for the client; the error's status has no meaning.
HttpError check_answer_head(std::string_view head, AnswerHead* out);

// nullopt for an incomplete or non-hexadecimal escape and for %00.
std::optional<std::string> percent_decode(std::string_view text);
// Whether a comma-separated list (Connection) has the token, compared without case.
bool list_has_token(std::string_view list, std::string_view token);
// Without spaces and tabs around it.
std::string_view trim_blanks(std::string_view text);
bool is_token(std::string_view text);
int hex_digit(char c);  // -1: none

}  // namespace pagoda
