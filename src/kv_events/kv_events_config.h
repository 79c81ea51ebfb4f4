#pragma once
#include <cstdint>
#include <string>

namespace pagoda {

// vLLM's KVEventsConfig.
struct KvEventsConfig {
  bool enabled = false;                   // enable_kv_cache_events, with a publisher that is not "null"
  std::string endpoint = "tcp://*:5557";  // bound if it has a *, :: or is ipc or inproc; else connected to
  std::string replay_endpoint;            // always bound; empty: none
  int64_t buffer_steps = 10'000;          // batches kept for replay
  int64_t hwm = 100'000;                  // batches that wait for a slow subscriber; 0: no bound
  int64_t max_queue_size = 100'000;       // batches that wait for the thread
  std::string topic;
  bool array_events = false;  // events as arrays, see KvEventFormat
  bool int_hashes = true;
};

}  // namespace pagoda
