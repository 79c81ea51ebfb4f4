#include "loadgen/serve_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "loadgen/report.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RequestRecord record(double start, double ttft, std::vector<double> itls, int64_t output_len) {
  RequestRecord out;
  out.success = out.has_usage = true;
  out.start_time = start;
  out.ttft = out.latency = ttft;
  for (double gap : itls) out.latency += gap;
  out.itls = std::move(itls);
  out.prompt_len = 10;
  out.output_len = output_len;
  return out;
}

LoadResult three_requests() {
  LoadResult result;
  result.records.push_back(record(0, 0.1, {0.1, 0.3}, 3));  // ends at 0.5; tpot 0.2
  result.records.push_back(record(0.5, 0.2, {0.8}, 9));     // ends at 1.5; tpot 0.1; two chunks of 4.5 tokens
  result.records.push_back(record(0.25, 0.25, {}, 1));      // ends at 0.5; no tpot
  result.records.emplace_back();
  result.records.back().error = "HTTP status 503: full";
  result.duration_s = 2;
  return result;
}

TEST(ServeMetrics, ByVllmsDefinitions) {
  ServeMetrics metrics = compute_metrics(three_requests(), {{50, 100}});
  EXPECT_EQ(metrics.completed, 3);
  EXPECT_EQ(metrics.failed, 1);
  EXPECT_EQ(metrics.total_input, 30);
  EXPECT_EQ(metrics.total_output, 13);
  EXPECT_EQ(metrics.num_with_usage, 3);
  EXPECT_EQ(metrics.request_throughput, 1.5);
  EXPECT_EQ(metrics.output_throughput, 6.5);
  EXPECT_EQ(metrics.total_token_throughput, 21.5);
  EXPECT_EQ(metrics.max_concurrent_requests, 2) << "an end and a start at one moment do not overlap";
  EXPECT_EQ(metrics.max_output_tokens_per_s, 3 + 4.5 + 1);
  EXPECT_NEAR(metrics.distributions["ttft"].mean, (100 + 200 + 250) / 3., 1e-9);
  EXPECT_NEAR(metrics.distributions["ttft"].median, 200, 1e-9);
  EXPECT_NEAR(metrics.distributions["tpot"].mean, 150, 1e-9) << "0.2 and 0.8 / 8; one token has none";
  EXPECT_NEAR(metrics.distributions["tpot"].percentiles[1].second, 200, 1e-9);
  EXPECT_NEAR(metrics.distributions["itl"].mean, 400, 1e-9) << "gaps pooled";
  EXPECT_NEAR(metrics.distributions["e2el"].median, 500, 1e-9);
}

TEST(ServeMetrics, GoodputWantsAllLevels) {
  auto good = [](Goodput goodput) {
    return compute_metrics(three_requests(), {{99}, goodput}).request_goodput;
  };
  EXPECT_EQ(good({.ttft_ms = 200}), 1);
  EXPECT_EQ(good({.tpot_ms = 150}), 1) << "one token counts as 0";
  EXPECT_EQ(good({.ttft_ms = 200, .tpot_ms = 150}), 0.5);
  EXPECT_EQ(good({.ttft_ms = 200, .tpot_ms = 150, .e2el_ms = 600}), 0);
}

TEST(ServeMetrics, OfNothing) {
  LoadResult result;
  result.records.resize(2);
  ServeMetrics metrics = compute_metrics(result, {});
  EXPECT_EQ(metrics.completed, 0);
  EXPECT_EQ(metrics.failed, 2);
  EXPECT_EQ(metrics.distributions["itl"].mean, 0);
  EXPECT_THAT(serve_report(metrics, {}), HasSubstr("Failed requests:                         2  "));
}

TEST(Report, RowsAndSections) {
  ReportOptions options;
  options.percentile_metrics = {"ttft", "e2el"};
  options.max_concurrency = 4;
  options.arrivals.request_rate = 2.5;
  options.has_goodput = true;
  ServeMetrics metrics = compute_metrics(three_requests(), {{99.9, 25}, {.ttft_ms = 200}});
  std::string report = serve_report(metrics, options);
  for (const char* row : {"============ Serving Benchmark Result ============\n",
                          "Successful requests:                     3         \n",
                          "Maximum request concurrency:             4         \n",
                          "Request rate configured (RPS):           2.50      \n",
                          "Benchmark duration (s):                  2.00      \n",
                          "Total generated tokens:                  13        \n",
                          "Request goodput (req/s):                 1.00      \n",
                          "Output token throughput (tok/s):         6.50      \n",
                          "Peak output token throughput (tok/s):    8.50      \n",
                          "Peak concurrent requests:                2.00      \n",
                          "Total token throughput (tok/s):          21.50     \n",
                          "---------------Time to First Token----------------\n",
                          "Median TTFT (ms):                        200.00    \n",
                          "P99.9 TTFT (ms):                         249.90    \n",
                          "P25 TTFT (ms):                           150.00    \n",
                          "----------------End-to-end Latency----------------\n", "the server's usage.\n"})
    EXPECT_THAT(report, HasSubstr(row));
  EXPECT_THAT(report, Not(HasSubstr("Inter-token")));
  EXPECT_EQ(error_report(three_requests().records), "1 failed: HTTP status 503: full\n");
  LoadResult hostile = three_requests();
  hostile.records.back().error = "\x1b[2J\u009b\u202e\n\tfull";
  EXPECT_EQ(error_report(hostile.records), "1 failed: \\x1b[2J\\u009b\\u202e\n\tfull\n");
}

TEST(Report, SaysHowTokensWereCounted) {
  LoadResult result = three_requests();
  for (RequestRecord& each : result.records) each.has_usage = false;
  EXPECT_THAT(serve_report(compute_metrics(result, {}), {}), HasSubstr("output tokens by chunks"));
  result.records[0].has_usage = true;
  EXPECT_THAT(serve_report(compute_metrics(result, {}), {}), HasSubstr("usage for 1 requests, chunks"));
}

TEST(Report, ResultFile) {
  ReportOptions options;
  LoadResult result = three_requests();
  ServeMetrics metrics = compute_metrics(result, {{99}});
  ResultHeader header{"20260102-030405", "openai", "", "org/model", "", 4, {{"tp", "1"}}};
  Value file = Value(serve_result(header, metrics, options, result.records, false));
  EXPECT_EQ(file.find("request_rate")->as_string(), "inf");
  EXPECT_TRUE(file.find("max_concurrency")->is_null());
  EXPECT_TRUE(file.find("request_goodput")->is_null());
  EXPECT_EQ(file.find("tp")->as_string(), "1");
  EXPECT_EQ(file.find("model_id")->as_string(), "org/model");
  for (const char* name :
       {"date", "backend", "duration", "completed", "failed", "total_input_tokens", "total_output_tokens",
        "request_throughput", "output_throughput", "total_token_throughput", "max_output_tokens_per_s",
        "max_concurrent_requests", "mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_e2el_ms"})
    EXPECT_NE(file.find(name), nullptr) << name;
  EXPECT_EQ(file.find("itls"), nullptr);
  EXPECT_EQ(result_filename(header, options), "openai-infqps-model-20260102-030405.json");
  options.max_concurrency = 8;
  options.arrivals.request_rate = 2;
  header.label = "mine";
  EXPECT_EQ(result_filename(header, options), "mine-2.0qps-concurrency8-model-20260102-030405.json");
  header.model_id = "org/\x1b[2Jm";
  EXPECT_EQ(result_filename(header, options), "mine-2.0qps-concurrency8-\\x1b[2Jm-20260102-030405.json");

  Value detailed = Value(serve_result(header, metrics, options, result.records, true));
  for (const char* name :
       {"input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"})
    EXPECT_EQ(detailed.find(name)->as_array().size(), 4u) << name;
  EXPECT_EQ(detailed.find("errors")->as_array()[3].as_string(), "HTTP status 503: full");
  EXPECT_EQ(write_json(detailed.find("itls")->as_array()[0]), "[0.1,0.3]");
}

}  // namespace
}  // namespace pagoda
