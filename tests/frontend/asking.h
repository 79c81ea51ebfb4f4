// Requests to a scripted engine, and all that is read of their answers.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "frontend/intake.h"
#include "tests/testing/gate.h"
#include "tests/testing/question.h"
#include "tests/testing/scripted_engine.h"

namespace pagoda::testing {

// What a wake-up does in a server: the reader runs again.
class Reader {
 public:
  std::function<void()> wake() {
    return [state = state_] {
      std::lock_guard lock(state->mutex);
      ++state->wakes;
      state->changed.notify_all();
    };
  }
  bool wait(int* seen) {
    std::unique_lock lock(state_->mutex);
    bool woken = state_->changed.wait_for(lock, kPatience, [&] { return state_->wakes > *seen; });
    *seen = state_->wakes;
    return woken;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int wakes = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

struct Whole {
  Status refused;  // by admit
  Status error;
  std::map<std::pair<int, int>, TextDelta> choices;  // (prompt, choice) -> all deltas together
  std::vector<std::string> pieces;                   // of (0, 0)
};

inline Whole ask(ScriptedEngine* scripted, Question request) {
  Whole whole;
  Reader reader;
  auto stream = admit(scripted->intake.get(), std::move(request), reader.wake());
  if (!stream.ok()) {
    whole.refused = stream.status();
    return whole;
  }
  int seen = 0;
  TextDelta delta;
  while (!stream->done()) {
    if (!stream->next(&delta)) {
      EXPECT_TRUE(stream->done() || reader.wait(&seen)) << "the reader is not woken";
      if (seen == 0 && !stream->done()) break;
      continue;
    }
    if (!delta.error.ok()) whole.error = delta.error;
    TextDelta& all = whole.choices[{delta.prompt_index, delta.choice}];
    EXPECT_EQ(all.finish, FinishReason::kNone) << "a delta after the last";
    if (delta.prompt_index == 0 && delta.choice == 0) whole.pieces.push_back(delta.text);
    all.text += delta.text;
    all.prompt_text += delta.prompt_text;
    all.token_ids.insert(all.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
    all.logprobs.insert(all.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
    all.prompt_logprobs.insert(all.prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                               delta.prompt_logprobs.end());
    if (!delta.prompt_token_ids.empty()) all.prompt_token_ids = delta.prompt_token_ids;
    all.finish = delta.finish;
    all.stop_reason = delta.stop_reason;
    all.counts = delta.counts;
  }
  return whole;
}

inline Question text_request(const std::string& prompt = "hi") {
  Question request;
  request.prompt = std::vector<TextPrompt>{prompt};
  request.sampling.max_tokens = 100;
  request.sampling.default_max_tokens = 16;
  return request;
}
inline Question chat_request(const std::string& content = "hi") {
  Object message;
  message.append("role", "user");
  message.append("content", content);
  ChatPrompt chat;
  chat.messages.push_back(Value(std::move(message)));
  Question request;
  request.prompt = std::move(chat);
  request.prompt_field = "messages";
  request.add_special_tokens = false;
  return request;
}

}  // namespace pagoda::testing
