#pragma once
#include <cstdint>
#include <string>

#include "base/status.h"
#include "contract/generate_request.h"
#include "frontend/model_info.h"

namespace pagoda {

// The prompt that a chat becomes. `now`: Unix time, s.
Result<std::string> render_chat_prompt(const ModelInfo& model, const ChatPrompt& chat, int64_t now);

// A message's content as one string: its text parts joined by newlines; empty for null.
std::string flat_content(const Value& message);

// The role of the answer: the server's response role, or the last message's when that is continued.
std::string answer_role(const ModelInfo& model, const ChatPrompt& chat);
std::string answer_role(const ModelInfo& model, const RequestPrompt& prompt);

}  // namespace pagoda
