// A seeded world around Scheduler + KvManager: random requests arrive, share prefixes, are cancelled, held
// and expire, over caches so small that sequences push each other out, while a FakeRunner distrusts every
// plan, Invariants follow every choice, and each choice's tokens are compared with an oracle that never heard
// of batches or blocks.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kv/kv_manager.h"
#include "schedule/scheduler.h"
#include "tests/sim/invariants.h"
#include "tests/sim/state.h"
#include "tests/sim/world_config.h"
#include "tests/testing/fake_runner.h"

namespace pagoda::sim {

class World {
 public:
  World(const WorldConfig& config, Counts* counts);
  // Stops at the first failure.
  void run();

 private:
  // A plan in flight, on a device that runs one step after the other.
  struct Flight {
    const StepPlan* plan;
    Time launched_at;
    double ms;
  };

  // ---- world.cc
  void step();
  void launch(const StepPlan& plan, double ms);
  void finish_step();
  void finish_all_steps();
  void disturb();
  void close_and_open();
  void finish_somebody();
  void cancel_somebody();
  void release(RequestId id, Live* live);
  void check_idle() const;
  void audit();
  void check_end();

  // ---- arrivals.cc
  void arrive();
  std::unique_ptr<Request> make_request();
  int draw_tenant();
  std::vector<TokenId> make_prompt(int longest);
  void remember(const Live& live, const Choice& choice);
  Outcome oracle(const Live& live, int choice) const;
  uint64_t root_of(const Request& request) const;
  void add_images(Request* request);
  uint64_t content_at(RequestId id, std::size_t position) const;

  // ---- events.cc
  void take_events();
  void take_event(const TokenEvent& event);
  void take_token(const Live& live, Choice* choice, const TokenEvent& event, std::size_t i);
  void take_prompt_rows(Live* live, const TokenEvent& event);
  void check_ended(Live* live, Choice* choice, const TokenEvent& event);
  void check_step_stats();
  void take_finished();
  void take_kv_events();
  void take_ended_moves();
  bool is_disk_busy() const;
  void count_moves(const StepPlan& plan);

  const WorldConfig config_;
  Dice dice_;
  Counts* counts_;
  std::unique_ptr<KvManager> kv_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<testing::FakeRunner> runner_;
  std::unique_ptr<Invariants> invariants_;
  int32_t max_len_ = 0;
  int num_left_;
  bool open_ = true, lost_step_ = false;  // lost_step_: events are of a step that computed nothing
  Time now_{std::chrono::seconds(1)};
  RequestId next_id_ = 1;
  uint64_t next_order_ = 0, commits_ = 0;
  int64_t num_choices_ = 0, num_finished_stats_ = 0, num_last_of_request_ = 0, next_audit_ = 1000;
  std::deque<Flight> in_flight_;
  Time device_done_{};  // with the last finished step
  std::map<RequestId, Live> live_;
  std::map<RequestId, std::vector<ExtraKey>> images_;  // also of requests that have ended
  std::set<RequestId> held_;
  std::set<std::pair<Time, RequestId>> deadlines_;
  std::vector<std::vector<TokenId>> stems_;  // what prompts begin with
  std::vector<TokenEvent> events_;
  std::vector<FinishedStats> finished_;
  std::vector<OffloadMoveEnd> ended_moves_;
  std::vector<KvEvent> kv_events_;
  std::unordered_set<BlockKey> told_;  // what the cache's events say is there
};

}  // namespace pagoda::sim
