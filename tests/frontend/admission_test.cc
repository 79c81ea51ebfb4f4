// Who waits for the text pool or the engine: gives way, runs out of time, leaves, and never holds up the end.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "frontend/deadlines.h"
#include "frontend/intake.h"
#include "tests/testing/question.h"
#include "tests/testing/scripted_engine.h"

namespace pagoda {
namespace {

using testing::Question;
using testing::ScriptedEngine;
using namespace std::chrono_literals;

Time now() {
  return std::chrono::steady_clock::now();
}

// A stream, and the wait for its first delta.
class Waiter {
 public:
  explicit Waiter(ScriptedEngine* scripted, Question request) {
    auto stream = admit(scripted->intake.get(), std::move(request), [state = state_] {
      std::lock_guard lock(state->mutex);
      ++state->wakes;
      state->changed.notify_all();
    });
    if (stream.ok())
      stream_ = std::move(*stream);
    else
      refused_ = stream.status();
  }
  const Status& refused() const { return refused_; }
  // How it ends; kUnavailable: not at all.
  StatusCode end() {
    TextDelta delta;
    int seen = 0;
    while (!stream_.done()) {
      if (stream_.next(&delta)) {
        if (!delta.error.ok()) return delta.error.code();
        continue;
      }
      std::unique_lock lock(state_->mutex);
      if (!state_->changed.wait_for(lock, 60s, [&] { return state_->wakes > seen; }))
        return StatusCode::kUnavailable;
      seen = state_->wakes;
    }
    return StatusCode::kOk;
  }
  void leave() { stream_ = {}; }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int wakes = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  OutputStream stream_;
  Status refused_;
};

Question text_of(const Tenant& tenant, int32_t n = 1, const std::string& prompt = "hi") {
  Question request;
  request.prompt = std::vector<TextPrompt>{prompt};
  request.sampling.max_tokens = 20;
  request.n = n;
  request.tenant = tenant;
  return request;
}

// One whose template does not end by itself before the test does.
Question endless_chat() {
  Object message;
  message.append("role", "user");
  message.append("content", "endless");
  ChatPrompt chat;
  chat.messages.push_back(Value(std::move(message)));
  Question request;
  request.prompt = std::move(chat);
  return request;
}

struct EndlessEngine : ScriptedEngine {
  EndlessEngine() {
    TemplateLimits limits;
    limits.steps_max = std::numeric_limits<int64_t>::max();
    auto parsed = ChatTemplate::parse(
        "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}"
        "{% endfor %}{% endfor %}",
        limits);
    PAGODA_CHECK(parsed.ok(), parsed.status().message().c_str());
    model.chat_template = *parsed;
    start();
    restart_text_pool(1);
  }
};

TEST(Admission, TheGreedyGivesWayToAnotherTenant) {
  ScriptedEngine scripted;
  std::mutex gate;
  scripted.on_step = [&] {
    std::lock_guard wait(gate);
    return Status();
  };
  scripted.config.scheduler.max_num_seqs = 2;
  scripted.config.scheduler.max_num_queued_reqs = 8;
  scripted.start();
  scripted.restart_text_pool(1);
  gate.lock();
  const Tenant greedy{1}, polite{2};
  Waiter first(&scripted, text_of(greedy)), large(&scripted, text_of(greedy, 7));
  scripted.await_text_pool();
  EXPECT_EQ(Waiter(&scripted, text_of(greedy)).refused().code(), StatusCode::kExhausted);
  Waiter other(&scripted, text_of(polite));
  EXPECT_TRUE(other.refused().ok());
  EXPECT_EQ(large.end(), StatusCode::kExhausted);
  gate.unlock();
  EXPECT_EQ(first.end(), StatusCode::kOk);
  EXPECT_EQ(other.end(), StatusCode::kOk);
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Admission, ManyPromptsAreOneClaim) {
  ScriptedEngine scripted;
  scripted.config.scheduler.max_num_queued_reqs = 6;
  scripted.start();
  Question three = text_of({1}, 2);
  three.prompt = std::vector<TextPrompt>{"a", "b", "c"};
  EXPECT_EQ(Waiter(&scripted, three).end(), StatusCode::kOk);
  std::get<std::vector<TextPrompt>>(three.prompt).push_back("d");
  Waiter never(&scripted, three);
  EXPECT_EQ(never.refused().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(never.refused().param(), "n");
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Admission, TimeRunsOutBehindTheWorkOfOthersAndWithinOnesOwn) {
  EndlessEngine scripted;
  Question long_work = endless_chat();
  Waiter busy(&scripted, long_work);
  Question request = text_of({1});
  request.deadline = now() + 30ms;
  EXPECT_EQ(Waiter(&scripted, request).end(), StatusCode::kTimeout) << "though no thread was free";
  EXPECT_EQ(scripted.metrics.rejected_deadline.value(), 1);
  busy.leave();  // its work ends, and the thread is free

  long_work.deadline = now() + 30ms;
  EXPECT_EQ(Waiter(&scripted, long_work).end(), StatusCode::kTimeout);
  EXPECT_EQ(Waiter(&scripted, text_of({1})).end(), StatusCode::kOk) << "its work has ended too";
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Admission, WorkEndsWhenItsReaderLeavesOrThePoolGoes) {
  EndlessEngine scripted;
  Waiter busy(&scripted, endless_chat());
  busy.leave();
  EXPECT_EQ(Waiter(&scripted, text_of({1})).end(), StatusCode::kOk);
  Waiter still(&scripted, endless_chat());
  scripted.text_pool.reset();  // joins
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(Admission, LongTokenizationEndsToo) {
  ScriptedEngine scripted;
  scripted.model.max_model_len = 100'000'000;
  scripted.start();
  scripted.restart_text_pool(1);
  std::string words, one_word(8 << 20, 'x');
  for (int i = 0; i < (4 << 20); ++i) words += "ab ";
  for (const std::string& text : {words, one_word}) {
    const Time begin = now();
    Waiter busy(&scripted, text_of({1}, 1, text));
    std::this_thread::sleep_for(1ms);
    busy.leave();
    EXPECT_EQ(Waiter(&scripted, text_of({1})).end(), StatusCode::kOk);
    EXPECT_LT(now() - begin, 30s);
  }
  EXPECT_TRUE(scripted.engine->drain(60));
}

class Job : public TextJob {
 public:
  explicit Job(Time deadline = Time::max()) : TextJob({1}, deadline) {}
  void run() override { done.set_value(StatusCode::kOk); }
  void fail(const Status& status) override { done.set_value(status.code()); }
  std::promise<StatusCode> done;
};

TEST(Admission, TextJobsTakePlacesOfTheQueue) {
  EndlessEngine scripted;
  auto job = std::make_shared<Job>();
  ASSERT_TRUE(scripted.intake->work(job).ok());
  EXPECT_EQ(job->done.get_future().get(), StatusCode::kOk);

  Waiter busy(&scripted, endless_chat());
  auto late = std::make_shared<Job>(now() + 30ms);
  ASSERT_TRUE(scripted.intake->work(late).ok());
  EXPECT_EQ(late->done.get_future().get(), StatusCode::kTimeout);
  EXPECT_EQ(scripted.intake->work(std::make_shared<Job>(now() - 1ms)).code(), StatusCode::kTimeout);

  std::vector<std::shared_ptr<Job>> many;
  Status full;
  while (full.ok()) {
    many.push_back(std::make_shared<Job>());
    full = scripted.intake->work(many.back());
  }
  EXPECT_EQ(full.code(), StatusCode::kExhausted);
  EXPECT_LE(static_cast<int>(many.size()), scripted.config.scheduler.max_num_queued_reqs);
  Waiter other(&scripted, text_of({2}));
  ASSERT_TRUE(other.refused().ok());
  EXPECT_EQ(many[many.size() - 2]->done.get_future().get(), StatusCode::kExhausted) << "the newest gives way";
  busy.leave();
  EXPECT_EQ(other.end(), StatusCode::kOk);
  scripted.await_text_pool();
  EXPECT_TRUE(scripted.engine->drain(60));
}

// What it makes of its text once it is cancelled is half of an answer.
TEST(Admission, ATextJobThatIsGivenUpSaysWhyBeforeItIsCancelled) {
  struct Slow : TextJob {
    Slow() : TextJob({1}, now() + 30ms) {}
    void run() override {
      while (!is_work_cancelled()) std::this_thread::yield();
      answer(StatusCode::kOk);
    }
    void fail(const Status& why) override {
      std::this_thread::sleep_for(5ms);  // a slow answer is not overtaken either
      answer(why.code());
    }
    void answer(StatusCode status) {
      if (!answered.exchange(true)) done.set_value(status);
    }
    std::atomic<bool> answered{false};
    std::promise<StatusCode> done;
  };
  ScriptedEngine scripted;
  scripted.start();
  auto job = std::make_shared<Slow>();
  ASSERT_TRUE(scripted.intake->work(job).ok());
  EXPECT_EQ(job->done.get_future().get(), StatusCode::kTimeout);
}

TEST(Deadlines, TellEachOnceInTimeAndForgetThoseWhoHaveGone) {
  struct Who : Expirable {
    std::promise<Time> told;
    void expire() override { told.set_value(now()); }
  };
  Deadlines deadlines;
  for (int i = 0; i < 1000; ++i) deadlines.add(now() + 1h, std::make_shared<Who>());
  std::vector<std::shared_ptr<Who>> some;
  const Time begin = now();
  for (int ms : {40, 10, 25}) {
    some.push_back(std::make_shared<Who>());
    deadlines.add(begin + std::chrono::milliseconds(ms), some.back());
  }
  const Time at40 = some[0]->told.get_future().get(), at10 = some[1]->told.get_future().get();
  EXPECT_GE(at10 - begin, 10ms);
  EXPECT_GE(at40 - begin, 40ms);
  EXPECT_LT(at10, at40);
}

}  // namespace
}  // namespace pagoda
