#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// Where `pagoda chat` gets its answers: a server, or a model in this process.
class ChatBackend {
 public:
  virtual ~ChatBackend() = default;
  // Streams the answer to `messages`; on_text returns false to stop it; it is called with empty text
  // now and then while nothing comes. The error is for the person.
  virtual Status answer(const Array& messages, const std::function<bool(std::string_view)>& on_text) = 0;
  virtual std::string name() const = 0;
};

// Error kIo if nothing answers at `url` (".../v1").
Result<std::unique_ptr<ChatBackend>> connect_chat(const std::string& url, const std::string& model,
                                                  const std::string& api_key);
// The model in this process; empty: the built-in one.
Result<std::unique_ptr<ChatBackend>> local_chat(const std::string& model);

}  // namespace pagoda
