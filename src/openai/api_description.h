// What a server answers, told to people and programs.
#pragma once
#include <string>
#include <vector>

#include "base/value.h"

namespace pagoda {

struct ServedRoute {
  std::string method, path;
  bool needs_key = false;
};
struct ServedApi {
  std::string version;
  std::vector<ServedRoute> routes;
};

// OpenAPI 3.1. Routes that the table does not know are left out.
Value describe_api(const ServedApi& api);
// The same as one HTML page that loads nothing.
std::string describe_api_as_html(const ServedApi& api);

}  // namespace pagoda
