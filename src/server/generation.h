#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "contract/generate_request.h"
#include "frontend/intake.h"
#include "http/message.h"
#include "openai/answer_format.h"
#include "server/api_server.h"

namespace pagoda {

class Generation;

// The generations that are being answered. Keeps them alive; thread-safe.
class GenerationSet {
 public:
  void add(std::shared_ptr<Generation> generation);
  void remove(const std::shared_ptr<Generation>& generation);
  std::size_t size() const;
  // Ends all of them; their clients hear nothing more.
  void clear();
  // Those with one of these ids, as their answers carry it or as the client gave it.
  void abort(const std::vector<std::string>& ids);
  // All; how many.
  std::size_t abort_all();
  // The server ends: each is told so, as far as bytes can still be sent.
  void cut_off_all(const Status& why);

 private:
  mutable std::mutex mutex_;
  std::unordered_set<std::shared_ptr<Generation>> members_;
};

struct RouteContext;

// One request to a model, from its admission to the last byte of its answer: reads the OutputStream, writes
// JSON or server-sent events. A stream's status line is sent when the engine has taken the prompts, so that
// what is wrong before it (a prompt that is too long) is an HTTP error; what goes wrong later is an event.
// Runs on the connection's I/O thread, one call at a time, but for its creation and the writing of large
// answers (text pool).
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // Admits the request and returns; errors are answered at once.
  static void begin(RouteContext* context, const HttpRequest& http, ParsedRequest request,
                    const AnswerFormat& format, std::shared_ptr<ResponseWriter> writer);

  Generation(RouteContext* context, const AnswerFormat& format, std::shared_ptr<const ResponseShape> shape,
             ResponseHead head, uint64_t tenant_key, std::shared_ptr<ResponseWriter> writer);
  void cancel();
  // Ends what is unfinished; the client gets what there is. Any thread.
  void abort();
  // Ends it with an error (503, or an event in a stream). Any thread.
  void cut_off(const Status& why);
  // Of the answer, with and without its prefix.
  std::string_view id() const { return head_.id; }
  std::string_view bare_id() const;

 private:
  // What is known of a choice of the answer; `result` gathers deltas unless they are streamed.
  struct Choice {
    ChoiceResult result;
    ChoiceResult held;   // streamed, but not yet sent: fewer tokens than a piece has
    bool begun = false;  // its first piece has been sent
    ChoiceCounts counts;
    RequestTimings timings;  // with its last delta
    std::string logged_text;
  };

  // Admits the request; what is wrong with it is answered.
  void open(GenerateRequest request, RequestContext known, std::function<void()> wake);
  void pump();
  void read_stream();
  bool may_go_on();
  void take(TextDelta&& delta);
  void keep(TextDelta&& delta, Choice* choice);
  // False: it is held until there are enough for a piece.
  bool gather_piece(TextDelta* delta, Choice* choice) const;
  void stream_delta(TextDelta&& delta, Choice* choice, int32_t index);
  void start_stream();
  // What a stream says before its first delta: a chat's role, in every choice.
  void begin_answer(const TextDelta& first);
  void end();
  void leave();  // from any thread: nothing more is to be done
  void fail(const Status& why);
  void give_up();  // within catch: answers with what was thrown
  void log_output() const;
  AnswerEnd summary() const;
  Usage total_usage() const;
  RequestMetrics timing() const;

  RouteContext* const context_;
  const AnswerFormat& format_;
  const std::shared_ptr<const ResponseShape> shape_;
  const ResponseHead head_;
  const uint64_t tenant_key_;  // its turns on the text pool
  const std::shared_ptr<ResponseWriter> writer_;
  OutputStream stream_;          // set once, under stream_mutex_
  std::mutex stream_mutex_;      // for abort(), which may come from elsewhere
  std::vector<Choice> choices_;  // [prompt * n + choice]; none before admission
  int64_t num_logprobs_ = 0;     // that are kept
  std::string events_;           // of this pump, not yet written
  bool streaming_ = false, begun_ = false, ended_ = false;
  bool has_written_much_ = false;  // of a stream, and has not looked yet whether its client keeps up
};

}  // namespace pagoda
