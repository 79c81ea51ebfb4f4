// A template out of a stranger's checkpoint or request, and its context where one follows behind a NUL.
#include <cstdint>

#include "base/json.h"
#include "jinja/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const pagoda::Value kContext =
      *pagoda::parse_json(R"({"messages": [{"role": "system", "content": "S"},
      {"role": "user", "content": [{"type": "text", "text": "U \u00e4\ud83d\ude00"}]},
      {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "1",
       "function": {"name": "f", "arguments": {"x": [1, 2.5, true, null]}}}]}],
      "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
      "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view source = text.substr(0, text.find('\0'));
  const pagoda::TemplateLimits limits{.steps_max = 50'000, .depth_max = 60, .output_bytes_max = 1 << 18};
  const auto parsed = pagoda::ChatTemplate::parse(source, limits);
  if (!parsed.ok()) return 0;
  (void)(*parsed)->wants_content_parts();
  pagoda::Value context = kContext;
  if (source.size() < text.size()) {
    auto given = pagoda::parse_json(text.substr(source.size() + 1));
    if (given.ok() && given->is_object()) context = std::move(*given);
  }
  (void)(*parsed)->render(context.as_object(), {.unix_s = 1'700'000'000});
  return 0;
}
