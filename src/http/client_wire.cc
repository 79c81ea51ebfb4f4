#include "http/client_wire.h"

#include <netdb.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "http/framing.h"
#include "http/response.h"

namespace pagoda {

Result<std::vector<SocketAddress>> find_addresses(const Url& url) {
  std::vector<SocketAddress> out;
  if (!url.unix_path.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (url.unix_path.size() >= sizeof(address.sun_path))
      return invalid_argument("the Unix socket's path is too long");
    std::memcpy(address.sun_path, url.unix_path.data(), url.unix_path.size());
    out.emplace_back();
    std::memcpy(&out[0].storage, &address, sizeof(address));
    out[0].size = sizeof(address);
    return out;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int failure = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (failure != 0)
    return io_error("cannot find the address of " + url.host + ": " + ::gai_strerror(failure));
  for (addrinfo* one = found; one != nullptr; one = one->ai_next) {
    out.emplace_back();
    std::memcpy(&out.back().storage, one->ai_addr, one->ai_addrlen);
    out.back().size = one->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return out;
}

Status check_headers(const HttpHeaders& headers) {
  const auto is_control = [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; };
  for (const auto& [name, value] : headers) {
    if (!is_token(name)) return invalid_argument("a header of the request has a name that is not valid");
    if (std::any_of(value.begin(), value.end(), is_control))
      return invalid_argument("the header " + name + " of the request holds a control character");
  }
  return {};
}

std::string render_request(const ClientRequest& request, const Url& url) {
  std::string out = request.method + " " + url.target + " HTTP/1.1\r\n";
  auto given = [&](std::string_view name) {
    for (const auto& [key, value] : request.headers)
      if (equal_ignoring_case(key, name)) return true;
    return false;
  };
  if (!given("host")) append_header(&out, "Host", url.authority);
  if (!given("connection")) append_header(&out, "Connection", "close");
  if (!given("content-type") && !request.body.empty())
    append_header(&out, "Content-Type", "application/json");
  for (const auto& [name, value] : request.headers)
    if (!equal_ignoring_case(name, "content-length") && !equal_ignoring_case(name, "transfer-encoding"))
      append_header(&out, name, value);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
    append_header(&out, "Content-Length", std::to_string(request.body.size()));
  return out + "\r\n" + request.body;
}

}  // namespace pagoda
