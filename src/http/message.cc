#include "http/message.h"

#include "http/framing.h"

namespace pagoda {

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (equal_ignoring_case(key, name)) return std::string_view(value);
  return std::nullopt;
}

}  // namespace pagoda
