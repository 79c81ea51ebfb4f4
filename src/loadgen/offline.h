#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "loadgen/synthetic_text.h"
#include "engine/engine.h"

namespace pagoda {

// How a batch is generated in this process: no server, no text, the engine alone.
struct OfflineOptions {
  int32_t n = 1;  // answers to each prompt
  float temperature = 1;
  uint64_t seed = 0;
  // Told now and then, on the engine's thread, how many answers have ended.
  std::function<void(std::size_t)> on_progress;
};

struct OfflineResult {
  double elapsed_s = 0;
  int64_t num_prompt_tokens = 0, num_output_tokens = 0;
};

// Hands all prompts to the engine at once and waits for the last token. Every answer has its prompt's
// output_len tokens: the end of text ends nothing. Errors: as of Engine::reserve, or what an answer failed
// of. Requires: prompts have ids within the vocabulary, and fit with their outputs into max_model_len.
Result<OfflineResult> run_offline(Engine* engine, const std::vector<BenchPrompt>& prompts,
                                  const OfflineOptions& options);

// vLLM's lines and result files. Requires: latencies (of a batch, in seconds) are not empty.
std::string latency_report(const std::vector<double>& latencies);
Object latency_result(const std::vector<double>& latencies);
std::string throughput_report(const OfflineResult& result, int64_t num_requests);
Object throughput_result(const OfflineResult& result, int64_t num_requests);

}  // namespace pagoda
