// What is read is written in a way that reads as the same.
#include <cstdint>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string shown = pagoda::escape_for_log(text);
  PAGODA_CHECK(pagoda::is_valid_utf8(shown) && shown.find('\n') == std::string::npos, "a line of the log");
  PAGODA_CHECK(pagoda::is_valid_utf8(pagoda::sanitize_utf8(text)), "sanitized text is UTF-8");
  const auto value = pagoda::parse_json(text);
  if (!value.ok()) return 0;
  PAGODA_CHECK(pagoda::is_valid_utf8(text), "JSON is UTF-8");
  for (const pagoda::JsonStyle& style : {pagoda::JsonStyle{}, pagoda::JsonStyle{.ensure_ascii = true},
                                         pagoda::JsonStyle{.python_spacing = true, .indent = 2}}) {
    const std::string once = pagoda::write_json(*value, style);
    const auto again = pagoda::parse_json(once);
    PAGODA_CHECK(again.ok() && pagoda::write_json(*again, style) == once, "JSON that is written reads back");
  }
  return 0;
}
