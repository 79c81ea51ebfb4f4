// The query of a route's address.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/message.h"

namespace pagoda {

// All values of `name` in "a=1&b=2"; none of ours needs percent signs.
std::vector<std::string> query_values(std::string_view query, std::string_view name);

// The last value, which must be one of these; `otherwise` if there is none.
Result<std::string> query_choice(const HttpRequest& request, const char* name, std::string otherwise,
                                 const std::vector<std::string>& choices);
Result<int64_t> query_int(const HttpRequest& request, const char* name, int64_t otherwise, int64_t low,
                          int64_t high);
Result<bool> query_bool(const HttpRequest& request, const char* name, bool otherwise);
// Every value, each of which must be one of these.
Result<std::vector<std::string>> query_choices(const HttpRequest& request, const char* name,
                                               const std::vector<std::string>& choices);

}  // namespace pagoda
