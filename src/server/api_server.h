// The server room: which path answers what, one file per route. It joins http to openai, frontend, engine and
// metrics and holds no logic of its own beyond that: keys, draining, streaming of deltas. Threads: handlers
// and everything that reads an OutputStream run on the I/O thread of their connection; large
// bodies are parsed, large answers written, /tokenize and /detokenize work on the text pool. Nothing here
// waits. Invariant: a generation whose client has gone is cancelled in the engine.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/value.h"
#include "engine/engine.h"
#include "frontend/intake.h"
#include "http/server.h"
#include "metrics/registry.h"
#include "openai/requests.h"

namespace pagoda {

struct ApiServerConfig {
  HttpServerConfig http;
  std::vector<std::string> api_keys;  // empty: open. Else required but for probes (auth.cc)
  RequestLimits limits;
  std::string version, system_fingerprint;
  bool enable_log_requests = false, enable_log_outputs = false;
  int max_log_len = -1;  // characters of a prompt or an answer per log line; -1: all
  bool enable_prompt_tokens_details = false;
  bool enable_per_request_metrics = false;  // `metrics` in answers of one choice: how long it took
  int64_t stream_interval = 1;              // tokens per streamed piece
  double request_timeout_s = 0;  // 0: only what a request's own `timeout` says
  // By API key where there are several, else by `user` or address: shares of a fair schedule, and (by key or
  // address) of the queue; 1 if not in here.
  std::map<std::string, uint32_t> client_weights;
  double stall_timeout_s = 60;  // /health is 503 when the engine has made no step for so long; 0: never
  bool dev_mode = false;        // the control routes without a key, and /server_info
  bool enable_docs = true;      // /openapi.json and /docs
  bool enable_tokenizer_info = false;  // /tokenizer_info
  // What /server_info and /kv_event_sources tell: flags and variables that are set, and vLLM's KVEventsConfig
  // by rank.
  Object settings, environment, kv_event_sources;
};

class ApiServer {
 public:
  // All pointers outlive the server.
  ApiServer(ApiServerConfig config, Intake* intake, Engine* engine, MetricsRegistry* metrics);
  ~ApiServer();
  Status bind();
  Status start();
  int port() const;
  // Those that are being answered, of whatever route.
  int num_requests() const;
  // Refuses new requests with 503, lets the others end (at most timeout_s), then closes everything. False:
  // some were cut off, and told so. Afterwards the engine takes no requests either.
  bool drain_and_stop(double timeout_s);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
