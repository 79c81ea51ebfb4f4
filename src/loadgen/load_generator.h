#pragma once
#include <functional>
#include <string>
#include <vector>

#include "loadgen/openai_stream.h"
#include "http/message.h"

namespace pagoda {

// Where a load goes and how it is offered.
struct LoadOptions {
  std::string base_url;  // http://host:port, with a path if the API has one
  std::string endpoint = "/v1/completions";
  RequestStyle style;
  HttpHeaders headers;
  std::string request_id_prefix;  // of X-Request-Id; empty: none
  int64_t max_concurrency = 0;    // requests under way at once; 0: no limit. More wait here.
  double timeout_s = 6 * 3600;    // for one request
  bool keep_text = false;         // RequestRecord::generated_text
  // Told now and then how many have ended.
  std::function<void(std::size_t)> on_progress;
};

struct LoadResult {
  std::vector<RequestRecord> records;  // in the order of the prompts
  double duration_s = 0;               // from the start to the end of the last answer
};

// Sends prompt i at times[i] (seconds after the start, ascending), or as soon after as max_concurrency
// allows; returns when all have ended. One thread, the caller's. A request that fails says so in its record.
// Errors: the URL is wrong, or its host is not known.
Result<LoadResult> run_load(const LoadOptions& options, const std::vector<BenchPrompt>& prompts,
                            const std::vector<double>& times);

// Sends one request again and again until it is answered well, at most for timeout_s. The error is that of
// the last attempt.
Status wait_until_ready(const LoadOptions& options, const BenchPrompt& prompt, double timeout_s);

}  // namespace pagoda
