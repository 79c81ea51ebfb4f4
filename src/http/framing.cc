#include "http/framing.h"

#include <algorithm>
#include <array>
#include <utility>

namespace pagoda {
namespace {

constexpr std::size_t kMethodBytesMax = 32;
constexpr std::size_t kRequestLineOverhead = kMethodBytesMax + 16;  // method, two spaces, version, CRLF

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_digit(c) || (lower_case(c) >= 'a' && lower_case(c) <= 'z');
}
bool is_control(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}
bool is_token_char(char c) {
  return is_alnum(c) || (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

// Fields of which one alone can be meant. A second one is refused: this server and a proxy before it, or two
// parts of this server, could each believe another.
enum Single { kHost, kLength, kEncoding, kExpect, kNumFraming, kNumSingle = 9 };
constexpr std::array<std::string_view, kNumSingle> kSingle = {"Host",
                                                              "Content-Length",
                                                              "Transfer-Encoding",
                                                              "Expect",
                                                              "Content-Type",
                                                              "Authorization",
                                                              "Origin",
                                                              "Access-Control-Request-Method",
                                                              "Access-Control-Request-Headers"};

// What the fields say, before they are checked together.
struct FramingFields {
  std::array<int, kNumSingle> count{};
  std::array<std::string_view, kNumFraming> value;
  bool close = false;
};

HttpError bad(std::string message) {
  return {400, std::move(message)};
}

HttpError parse_version(std::string_view version, MessageHead* out) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    out->http_1_1 = version == "HTTP/1.1";
    return {};
  }
  bool shaped = version.size() == 8 && version.substr(0, 5) == "HTTP/" && is_digit(version[5]) &&
                version[6] == '.' && is_digit(version[7]);
  if (shaped) return {505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
  return bad("The first line does not name an HTTP version.");
}

// RFC 9112, section 3.2: origin-form, absolute-form, or '*' for OPTIONS.
HttpError parse_target(std::string_view target, RequestHead* out) {
  for (char c : target)
    if (is_control(c) || static_cast<unsigned char>(c) >= 0x80 || c == ' ' || c == '#')
      return bad("The request target has a character that must be percent-encoded.");
  out->target = target;
  if (target == "*" && out->method == "OPTIONS") {
    out->path = "*";
    return {};
  }
  std::string_view rest = target;
  if (rest.empty() || rest[0] != '/') {
    std::size_t scheme_end = rest.find("://");
    std::string_view scheme = rest.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https"))
      return bad("The request target must begin with '/'.");
    rest.remove_prefix(scheme_end + 3);
    std::size_t path_start = std::min(rest.find_first_of("/?"), rest.size());
    if (path_start == 0) return bad("The request target has no host.");
    // RFC 9110, section 4.2.4: an error; and a password has no place in a log.
    if (rest.substr(0, path_start).find('@') != std::string_view::npos)
      return bad("The request target has a user name: send an Authorization header instead.");
    rest.remove_prefix(path_start);
  }
  std::size_t question = rest.find('?');
  std::string_view raw_path = rest.substr(0, question);
  if (question != std::string_view::npos) out->query = rest.substr(question + 1);
  auto path = percent_decode(raw_path.empty() ? "/" : raw_path);
  if (!path) return bad("The request target has a broken percent escape.");
  out->path = std::move(*path);
  return {};
}

HttpError parse_request_line(std::string_view line, const HeadLimits& limits, RequestHead* out) {
  std::size_t first = line.find(' ');
  std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return bad("The request line is not 'METHOD target HTTP/1.1'.");
  std::string_view method = line.substr(0, first);
  if (!is_token(method) || method.size() > kMethodBytesMax ||
      std::any_of(method.begin(), method.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
    return bad("The request method is not valid.");
  out->method = method;
  std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.size() > limits.target_bytes_max) return {414, "The request target is too long."};
  HttpError error = parse_version(line.substr(last + 1), out);
  if (error.status != 0) return error;
  return parse_target(target, out);
}

HttpError parse_field(std::string_view line, FramingFields* fields, HttpHeaders* headers) {
  if (line[0] == ' ' || line[0] == '\t') return bad("A header field is folded over two lines.");
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("A header line has no colon.");
  std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return bad("A header field's name is not valid.");
  std::string_view value = trim_blanks(line.substr(colon + 1));
  for (char c : value)
    if (is_control(c) && c != '\t') return bad("A header field's value has a control character.");
  for (std::size_t i = 0; i < kNumSingle; ++i) {
    if (!equal_ignoring_case(name, kSingle[i])) continue;
    ++fields->count[i];
    if (i < kNumFraming) fields->value[i] = value;
  }
  if (equal_ignoring_case(name, "connection"))
    fields->close = fields->close || list_has_token(value, "close");
  headers->emplace_back(name, value);
  return {};
}

// The fields from `start` on, the end of the first line, to the empty line.
HttpError parse_fields(std::string_view head, std::size_t end, FramingFields* fields, HttpHeaders* headers) {
  for (std::size_t start = end + 2;; start = end + 2) {
    end = head.find("\r\n", start);
    if (end == start || end == std::string_view::npos) return {};
    HttpError error = parse_field(head.substr(start, end - start), fields, headers);
    if (error.status != 0) return error;
  }
}

HttpError check_single(const FramingFields& fields) {
  for (std::size_t i = 0; i < kNumSingle; ++i)
    if (fields.count[i] > 1) return bad("There is more than one " + std::string(kSingle[i]) + " header.");
  return {};
}

HttpError check_host(const FramingFields& fields, bool http_1_1) {
  if (fields.count[kHost] == 0) return http_1_1 ? bad("HTTP/1.1 needs a Host header.") : HttpError{};
  for (char c : fields.value[kHost])
    if (!is_alnum(c) && std::string_view("-._~%!$&'()*+;=:[]").find(c) == std::string_view::npos)
      return bad("The Host header is not valid.");
  return {};
}

HttpError check_encoding(const FramingFields& fields, MessageHead* out) {
  if (fields.count[kEncoding] == 0) return {};
  if (!out->http_1_1) return bad("HTTP/1.0 has no Transfer-Encoding.");
  if (fields.count[kLength] > 0)
    return bad("A message has either Content-Length or Transfer-Encoding, not both.");
  std::string_view encoding = fields.value[kEncoding];
  if (equal_ignoring_case(encoding, "chunked")) {
    out->chunked = true;
    return {};
  }
  std::string_view first = trim_blanks(encoding.substr(0, encoding.find(',')));
  for (std::string_view known : {"gzip", "x-gzip", "deflate", "compress", "x-compress"})
    if (equal_ignoring_case(first, known))
      return {501, "Compressed transfer codings are not supported: send plain or chunked."};
  return bad("The Transfer-Encoding is not 'chunked'.");
}

HttpError check_length(const FramingFields& fields, MessageHead* out) {
  if (fields.count[kLength] == 0) return {};
  std::string_view text = fields.value[kLength];
  if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), is_digit))
    return bad("The Content-Length is not a number of bytes.");
  std::uint64_t length = 0;
  for (char c : text) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  out->content_length = length;
  return {};
}

// What the fields say of the body's end and of the connection's.
HttpError check_framing(const FramingFields& fields, MessageHead* out) {
  HttpError error = check_single(fields);
  if (error.status == 0) error = check_encoding(fields, out);
  if (error.status == 0) error = check_length(fields, out);
  out->keep_alive = !fields.close && out->http_1_1;
  return error;
}

}  // namespace

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  char l = lower_case(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool list_has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    std::size_t comma = std::min(list.find(','), list.size());
    if (equal_ignoring_case(trim_blanks(list.substr(0, comma)), token)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::size_t HeadScanner::fail(int status, std::string message) {
  error_ = {status, std::move(message)};
  return 0;
}

std::size_t HeadScanner::scan(std::string_view in) {
  for (; position_ < in.size(); ++position_) {
    char c = in[position_];
    bool after_cr = position_ > 0 && in[position_ - 1] == '\r';
    if (position_ >= limits_.header_bytes_max) return fail(431, "The headers are too large.");
    if (num_lines_ == 0 && position_ >= limits_.target_bytes_max + kRequestLineOverhead)
      return fail(414, "The request target is too long.");
    if (after_cr != (c == '\n')) return fail(400, "A line of the head does not end in CR LF.");
    if (is_control(c) && c != '\t' && c != '\r' && c != '\n')
      return fail(400, "The head has a control character.");
    if (c != '\n') continue;
    bool empty_line = position_ == line_start_ + 1;
    if (empty_line && num_lines_ == 0) return fail(400, "The first line is empty.");
    if (empty_line) return position_ + 1;
    line_start_ = position_ + 1;
    if (++num_lines_ > limits_.header_count_max + 1) return fail(431, "There are too many header fields.");
  }
  return 0;
}

HttpError check_head(std::string_view head, const HeadLimits& limits, RequestHead* out) {
  std::size_t end = head.find("\r\n");
  FramingFields fields;
  HttpError error = parse_request_line(head.substr(0, end), limits, out);
  if (error.status == 0) error = parse_fields(head, end, &fields, &out->headers);
  if (error.status == 0) error = check_framing(fields, out);
  if (error.status == 0) error = check_host(fields, out->http_1_1);
  if (error.status != 0) return error;
  if (!fields.value[kExpect].empty() && out->http_1_1) {
    if (!equal_ignoring_case(fields.value[kExpect], "100-continue"))
      return {417, "The only expectation met here is 100-continue."};
    out->expect_continue = true;
  }
  return {};
}

// RFC 9112, section 4: HTTP/1.1 SP 3DIGIT SP [reason]; many leave the last space out with the reason.
HttpError check_answer_head(std::string_view head, AnswerHead* out) {
  std::size_t end = head.find("\r\n");
  std::string_view line = head.substr(0, end);
  HttpError error = parse_version(line.substr(0, line.find(' ')), out);
  if (error.status != 0) return error;
  std::string_view code = line.substr(std::min<std::size_t>(line.size(), 9), 3);
  bool is_code = code.size() == 3 && std::all_of(code.begin(), code.end(), is_digit) && code[0] != '0' &&
                 (line.size() == 12 || line[12] == ' ');
  if (!is_code) return bad("The first line has no status code.");
  for (char digit : code) out->status = out->status * 10 + (digit - '0');
  FramingFields fields;
  error = parse_fields(head, end, &fields, &out->headers);
  return error.status == 0 ? check_framing(fields, out) : error;
}

}  // namespace pagoda
