// What tokens are called in log-probabilities. A token that leaves a character open adds nothing to the text
// yet and has no name; the one that completes the character has all of it as its name, as in vLLM.
#pragma once
#include <string>
#include <string_view>

namespace pagoda {

// `open`: bytes of the tokens before, of a character (and what came with its beginning) that is not complete.
// Alternatives of a token are named behind the same `open`.
std::string token_name(std::string_view open, std::string_view bytes);
// What is open behind the token.
std::string open_after(std::string_view open, std::string_view bytes);

}  // namespace pagoda
