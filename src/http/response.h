// Answers as bytes: status lines, headers, chunks. Pure functions.
#pragma once
#include <string>
#include <string_view>

#include "http/message.h"

namespace pagoda {

std::string_view reason_phrase(int status);
// Whether an answer of this status may have a body at all.
bool status_has_body(int status);

// The headers that the connection adds to every answer.
struct AnswerFrame {
  std::string extra;             // whole header lines: CORS, request id
  bool close = false;            // `Connection: close`
  bool head_only = false;        // a HEAD request
  bool close_delimited = false;  // a stream to an HTTP/1.0 client: no chunks
};

// A whole answer. Its body becomes part of it.
std::string render_answer(HttpResponse&& response, const AnswerFrame& frame);
// The head of a streamed one.
std::string render_stream_head(int status, std::string_view content_type, const HttpHeaders& headers,
                               const AnswerFrame& frame);
void append_chunk(std::string* out, std::string_view piece);
// Adds `name: value` and a line end; leaves out a header that would break the lines of the head.
void append_header(std::string* out, std::string_view name, std::string_view value);

}  // namespace pagoda
