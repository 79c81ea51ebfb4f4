// Bodies of all routes.
#include <cstdint>

#include "openai/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const pagoda::RequestLimits limits;
  switch (data[0] % 5) {
    case 0:
      (void)pagoda::parse_chat_request(body, limits);
      break;
    case 1:
      (void)pagoda::parse_completion_request(body, limits);
      break;
    case 2:
      (void)pagoda::parse_tokenize_request(body, limits);
      break;
    case 3:
      (void)pagoda::parse_detokenize_request(body);
      break;
    default:
      (void)pagoda::parse_abort_request(body);
  }
  return 0;
}
