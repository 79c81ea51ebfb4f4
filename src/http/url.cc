#include "http/url.h"

#include <algorithm>
#include <cctype>

namespace pagoda {
namespace {

// Without a user's name and password, which would stand in a log from then on.
std::string without_user(std::string text) {
  std::size_t start = text.find("://");
  if (start == std::string::npos) return text;
  start += 3;
  const std::size_t end = std::min(text.find_first_of("/?#", start), text.size());
  const std::size_t at = text.substr(0, end).rfind('@');
  if (at != std::string::npos && at >= start) text.replace(start, at - start, "...");
  return text;
}

Status wrong_url(const std::string& text, const char* why) {
  return invalid_argument("not a URL for HTTP (" + std::string(why) + "): " + without_user(text));
}

Result<Url> parse_unix(const std::string& text) {
  Url url;
  std::size_t start = std::string("unix:").size();
  std::size_t colon = text.find(":/", start);
  url.unix_path = text.substr(start, colon == std::string::npos ? colon : colon - start);
  url.target = colon == std::string::npos ? "/" : text.substr(colon + 1);
  url.host = url.authority = "localhost";
  if (url.unix_path.empty()) return wrong_url(text, "unix:/socket:/path is meant");
  return url;
}

Status parse_authority(const std::string& text, Url* url) {
  std::string_view rest = url->authority;
  std::size_t port_at;
  if (!rest.empty() && rest[0] == '[') {  // an IPv6 address
    std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong_url(text, "']' is missing");
    url->host = rest.substr(1, end - 1);
    port_at = end + 1;
  } else {
    port_at = std::min(rest.find(':'), rest.size());
    url->host = rest.substr(0, port_at);
  }
  if (url->host.empty()) return wrong_url(text, "the host is missing");
  url->port = url->tls ? 443 : 80;
  if (port_at == rest.size()) return {};
  std::string_view digits = rest.substr(port_at + 1);
  bool number = rest[port_at] == ':' && !digits.empty() && digits.size() <= 5 &&
                std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  url->port = number ? std::stoi(std::string(digits)) : 0;
  if (url->port < 1 || url->port > 65535) return wrong_url(text, "the port must be between 1 and 65535");
  return {};
}

}  // namespace

Result<Url> parse_url(const std::string& text) {
  for (char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return wrong_url(text, "it has a space or a control character");
  if (text.compare(0, 5, "unix:") == 0) return parse_unix(text);
  Url url;
  url.tls = text.compare(0, 8, "https://") == 0;
  if (!url.tls && text.compare(0, 7, "http://") != 0)
    return wrong_url(text, "it must begin with http:// or https://");
  std::size_t start = url.tls ? 8 : 7;
  std::size_t end = std::min(text.find_first_of("/?#", start), text.size());
  url.authority = text.substr(start, end - start);
  if (url.authority.find('@') != std::string::npos) return wrong_url(text, "user names are not supported");
  PAGODA_RETURN_IF_ERROR(parse_authority(text, &url));
  url.target = text.substr(end, text.find('#', end) - end);
  if (url.target.empty() || url.target[0] != '/') url.target.insert(0, "/");
  return url;
}

}  // namespace pagoda
