#include "contract/generate_request.h"

namespace pagoda {
namespace {

// What prepares the prompt has them, what draws its tokens, and what reads the answer.
constexpr std::size_t kCopies = 3;

template <class T>
std::size_t list_bytes(const std::vector<T>& list) {
  return list.capacity() * sizeof(T);
}

std::size_t texts_bytes(const std::vector<std::string>& texts) {
  std::size_t bytes = list_bytes(texts);
  for (const std::string& text : texts) bytes += heap_bytes(text);
  return bytes;
}

std::size_t prompt_bytes(const ChatPrompt& chat) {
  return heap_bytes(chat.messages) + chat.tools.heap_bytes() + chat.template_kwargs.heap_bytes() +
         chat.chat_template.heap_bytes();
}

std::size_t prompt_bytes(const std::vector<TextPrompt>& prompts) {
  std::size_t bytes = list_bytes(prompts);
  for (const TextPrompt& prompt : prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) bytes += heap_bytes(*text);
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt))
      bytes += list_bytes(*ids) + kHeapOverhead;
  }
  return bytes;
}

}  // namespace

int32_t GenerateRequest::num_prompts() const {
  const auto* prompts = std::get_if<std::vector<TextPrompt>>(&prompt);
  return prompts == nullptr ? 1 : static_cast<int32_t>(prompts->size());
}

std::size_t GenerateRequest::heap_bytes() const {
  std::size_t bytes = list_bytes(sampling.logit_bias) + list_bytes(sampling.stop_token_ids) +
                      list_bytes(sampling.allowed_token_ids) + texts_bytes(sampling.bad_words) +
                      pagoda::heap_bytes(model) + pagoda::heap_bytes(cache_salt);
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return bytes * kCopies + prompt_bytes(*chat);
  return bytes * kCopies + prompt_bytes(std::get<std::vector<TextPrompt>>(prompt));
}

std::size_t ResponseShape::heap_bytes() const {
  return texts_bytes(stop) * kCopies;
}

}  // namespace pagoda
