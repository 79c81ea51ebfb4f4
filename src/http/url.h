// The URLs that the client takes: http://host[:port]/path, https://..., and unix:/socket/path:/path. Internal
// to this room.
#pragma once
#include <string>

#include "base/status.h"

namespace pagoda {

struct Url {
  bool tls = false;
  std::string host;  // without brackets
  int port = 0;
  std::string authority;  // as it goes into Host
  std::string unix_path;  // empty: TCP
  std::string target;     // path and query, at least "/"
};

Result<Url> parse_url(const std::string& text);

}  // namespace pagoda
