#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace pagoda {

// In time that depends on the length of `given` alone.
bool equal_in_constant_time(std::string_view secret, std::string_view given);

// The key of "Authorization: Bearer KEY"; empty if there is none.
std::string_view presented_key(const HttpRequest& request);

// Where there are keys.
bool needs_key(std::string_view path);
// Whether the request has one of the keys.
bool has_key(const HttpRequest& request, const std::vector<std::string>& keys);
// 401 if no key matches, but for the few paths of probes; nullopt lets the request pass.
std::optional<HttpResponse> check_api_key(const HttpRequest& request, const std::vector<std::string>& keys);

}  // namespace pagoda
