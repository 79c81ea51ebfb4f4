// The engine room: the engine loop and its thread. Takes arrivals and cancellations -> plan -> nothing to do?
// sleep on the queue -> run -> commit -> publish; with SchedulerConfig.max_in_flight 2 it plans the next step
// while one runs, where the runner can (ModelRunner::max_in_flight). It decides nothing (schedule does) and
// computes nothing (the runner does); it owns both, the cache's bookkeeping and the sinks of active requests.
// Any thread may submit, cancel and command; commands take effect with no step in flight. Events leave
// through a thread of their own (publisher.h), one hand-over a step. A failed request never takes the engine
// with it; a failed runner ends every request with an error event and leaves the engine dead (is_healthy()
// false). Invariant: a request that submit() took has each of its choices ended by exactly one event.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "contract/engine_config.h"
#include "contract/kv_event.h"
#include "contract/request.h"
#include "contract/tenant.h"
#include "contract/token_event.h"
#include "metrics/catalog.h"
#include "runner/model_runner.h"
#include "schedule/scheduler.h"

namespace pagoda {

class QueueClaim;
class AdmissionLimiter;

// What becomes of active requests when the engine is paused: they end with kAbort; the running ones go on to
// their end; all stay as they are.
enum class PauseMode : uint8_t { kAbort, kWait, kKeep };

class Engine {
 public:
  // Starts the engine thread. `metrics` outlives the engine. `kv_events`: where the cache's events go;
  // may be null.
  Engine(const EngineConfig& config, std::unique_ptr<KvManager> kv, std::unique_ptr<ModelRunner> runner,
         EngineMetrics* metrics, std::unique_ptr<KvEventSink> kv_events = nullptr);
  // Ends what is still running with kAbort, then joins.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A place in the queue for some choices and the tokens of their prompt, given back when the ticket is
  // destroyed; the engine destroys it when all choices of its request have ended. May outlive the engine.
  class QueueTicket {
   public:
    QueueTicket() = default;
    QueueTicket(QueueTicket&& other) noexcept;
    QueueTicket& operator=(QueueTicket&& other) noexcept;
    ~QueueTicket();
    // Some of its choices and tokens as a ticket of their own. Requires: it has as many.
    QueueTicket split(int32_t choices, int64_t tokens);

   private:
    friend class Engine;
    QueueTicket(std::shared_ptr<AdmissionLimiter> limiter, std::shared_ptr<QueueClaim> claim,
                int32_t choices);
    void give_back();
    void begin();
    std::shared_ptr<AdmissionLimiter> limiter_;
    std::shared_ptr<QueueClaim> claim_;  // of the whole API request
    int32_t choices_ = 0;
    int64_t tokens_ = 0;
    bool served_ = false;  // it has been in the engine
    bool begun_ = false;   // none of its choices waits any more
  };
  // Told, once, that the places have gone to a tenant that holds less (admission_limiter.h): the request is
  // to end with this status. On the thread of the request that asked for them.
  using GiveWay = std::function<void(const Status&)>;
  // Taken before a prompt is tokenized, so that a full queue costs nothing. Errors: kExhausted with a retry
  // hint: when, at the rate at which choices (or prompt tokens) have left the engine lately, there will be
  // room; kInvalidArgument (`n`) for more choices than the queue ever holds; kUnavailable when draining or
  // dead. Any thread; does not block.
  Result<QueueTicket> reserve(int64_t choices, const Tenant& tenant = {}, GiveWay give_way = {});
  // Once the prompts' length is known, and before submit(). Errors as of reserve(); kInvalidArgument names
  // `field`, where the request has its prompts. Then the ticket stays as it is.
  Status reserve_tokens(QueueTicket* ticket, int64_t num_prompt_tokens, std::string_view field = "prompt");

  // kTimeout, and a count in the metrics, once the deadline has passed: for a request that has not been
  // submitted yet.
  Status check_deadline(Time deadline) const;

  RequestId next_request_id();
  // Takes the request and its ticket. Events for it reach `sink` on the publisher's thread until each choice
  // has finished, then the sink is let go. Errors: kUnavailable when draining or dead, kTimeout past the
  // deadline; then the sink hears nothing. Any thread.
  Status submit(std::unique_ptr<Request> request, QueueTicket ticket, std::shared_ptr<EventSink> sink);
  // Any thread; harmless for an id that has ended. The sink hears kAbort for each unfinished choice.
  void cancel(RequestId id);
  // One choice is complete for a reason that only its reader can see (a stop string): it ends with kStop, the
  // others go on. Any thread; harmless for one that has ended. Requires: choice >= 0.
  void finish(RequestId id, int32_t choice);

  // Commands: carried out with no step in flight, then `done` is called, once, on the engine thread (on the
  // caller's, with kUnavailable, once the engine has ended). While paused or asleep requests are taken and
  // wait. None of these blocks.
  using Done = std::function<void(const Status&)>;
  // No request starts until resume(). Done once none runs (kWait), else at once; clear_cache: and then
  // nothing cached can be found. A resume() before that ends the wait with kUnavailable.
  void pause(PauseMode mode, bool clear_cache, Done done);
  void resume(Done done);
  // No request runs until wake_up(): those that did go back to the queue, the cache is forgotten and the
  // runner gives up what `level` says (ModelRunner::sleep). Errors: the runner's; then it is awake.
  void sleep(int level, Done done);
  // Awake once both have been asked for. Errors: the runner's; then it is still asleep.
  void wake_up(bool weights, bool kv_cache, Done done);
  void reset_prefix_cache(Done done);
  bool is_paused() const;
  bool is_sleeping() const;

  // No new requests from here on; active ones go on.
  void stop_admission();
  // Stops admission and waits until no request is active, at most timeout_s; false if some were left.
  bool drain(double timeout_s);

  bool is_healthy() const;
  // Seconds for which there has been work, and no step of it; 0 when there is none, or it was told to wait.
  double stalled_s() const;
  std::string failure() const;   // why it is not
  SchedulerStats stats() const;  // as of the last step
  const EngineConfig& config() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
