#include "http/response.h"

#include <fmt/core.h>

#include <iterator>

#include "http/framing.h"

namespace pagoda {
namespace {

// Those that only the connection may set.
bool is_framing_header(std::string_view name) {
  return equal_ignoring_case(name, "content-length") || equal_ignoring_case(name, "transfer-encoding") ||
         equal_ignoring_case(name, "connection") || equal_ignoring_case(name, "content-type");
}

void append_head(std::string* out, int status, std::string_view content_type, const HttpHeaders& headers,
                 const AnswerFrame& frame) {
  fmt::format_to(std::back_inserter(*out), "HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  if (!content_type.empty() && status_has_body(status)) append_header(out, "content-type", content_type);
  for (const auto& [name, value] : headers)
    if (!is_framing_header(name)) append_header(out, name, value);
  *out += frame.extra;
  if (frame.close) *out += "connection: close\r\n";
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Request Entity Too Large";
    case 414:
      return "Request-URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

bool status_has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

void append_header(std::string* out, std::string_view name, std::string_view value) {
  constexpr std::string_view kBreaks("\r\n\0", 3);
  if (!is_token(name) || value.find_first_of(kBreaks) != std::string_view::npos) return;
  *out += name;
  *out += ": ";
  *out += value;
  *out += "\r\n";
}

std::string render_answer(HttpResponse&& response, const AnswerFrame& frame) {
  std::string head;
  const bool with_body = status_has_body(response.status);
  head.reserve(256 + frame.extra.size());
  append_head(&head, response.status, response.content_type, response.headers, frame);
  if (with_body) fmt::format_to(std::back_inserter(head), "content-length: {}\r\n", response.body.size());
  head += "\r\n";
  if (!with_body || frame.head_only) return head;
  // Large ones have room left, as a rule: a copy would double what the answer takes.
  return std::move(response.body.insert(0, head));
}

std::string render_stream_head(int status, std::string_view content_type, const HttpHeaders& headers,
                               const AnswerFrame& frame) {
  std::string out;
  append_head(&out, status, content_type, headers, frame);
  if (!frame.close_delimited && status_has_body(status)) out += "transfer-encoding: chunked\r\n";
  out += "\r\n";
  return out;
}

void append_chunk(std::string* out, std::string_view piece) {
  fmt::format_to(std::back_inserter(*out), "{:x}\r\n", piece.size());
  *out += piece;
  *out += "\r\n";
}

}  // namespace pagoda
