#include "server/request_log.h"

#include <fmt/format.h>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/log.h"

namespace pagoda {
namespace {

constexpr std::size_t kLineCharsMax = 128 << 10;  // a line of the log holds no more

}  // namespace

std::size_t logged_chars(int chars_max) {
  return chars_max < 0 ? kLineCharsMax : std::min(static_cast<std::size_t>(chars_max), kLineCharsMax);
}

std::string prompt_for_log(const GenerateRequest& request, int chars_max) {
  Excerpt excerpt(logged_chars(chars_max));
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt))
    return write_json(Value(excerpt.of(chat->messages)));
  Array prompts;
  for (const TextPrompt& prompt : std::get<std::vector<TextPrompt>>(request.prompt)) {
    if (excerpt.left() == 0) break;
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      prompts.emplace_back(excerpt.of(std::string_view(*text)));
      continue;
    }
    const auto& ids = std::get<std::vector<TokenId>>(prompt);
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(excerpt.take(ids.size()));
    prompts.emplace_back(Array(ids.begin(), end));
  }
  return write_json(Value(std::move(prompts)));
}

std::string output_for_log(std::string_view text, int chars_max) {
  return write_json(Value(Excerpt(logged_chars(chars_max)).of(text)));
}

void log_request(const std::string& id, const GenerateRequest& request, const ResponseShape& shape,
                 int chars_max) {
  if (!log_enabled(LogLevel::kInfo)) return;
  const SamplingFields& sampling = request.sampling;
  auto shown = [](const auto& field) { return field ? fmt::format("{}", *field) : std::string("default"); };
  log_info(
      "Received request {}: prompt: {}, params: SamplingParams(n={}, temperature={}, top_p={}, top_k={}, "
      "seed={}, max_tokens={}, stop={}), stream: {}.",
      id, prompt_for_log(request, chars_max), shape.n, shown(sampling.temperature), shown(sampling.top_p),
      shown(sampling.top_k), shown(sampling.seed), shown(sampling.max_tokens), shape.stop.size(),
      shape.stream);
}

}  // namespace pagoda
