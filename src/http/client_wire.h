// What the blocking client and the asynchronous one have in common: addresses and bytes of a request.
// Internal to this room.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/client.h"
#include "http/url.h"

namespace pagoda {

// Of an answer that is kept whole; a stream may be of any length.
inline constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 20;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  boost::asio::generic::stream_protocol::endpoint endpoint() const {
    return {&storage, size, storage.ss_family == AF_UNIX ? 0 : IPPROTO_TCP};
  }
};

// In the order to try them. Blocks while a name is looked up. Error kIo: there is no such host.
Result<std::vector<SocketAddress>> find_addresses(const Url& url);

// What would end a header before its end, or begin another one, is refused: a key read from a file may have a
// newline.
Status check_headers(const HttpHeaders& headers);
// Headers that the request lacks are added: Host, Content-Type of a body, Content-Length, and
// `Connection: close` unless it says otherwise.
std::string render_request(const ClientRequest& request, const Url& url);

}  // namespace pagoda
