#include "metrics/http_metrics.h"

#include <gtest/gtest.h>

#include "tests/metrics/prometheus_text.h"

namespace pagoda {
namespace {

using testing::Exposition;
using testing::parse_prometheus;

TEST(HttpMetrics, CountsByHandlerMethodAndClassOfStatus) {
  MetricsRegistry registry;
  HttpMetrics http(&registry);
  http.observe("POST", "/v1/completions", 200, 0.25, 100, 2000);
  http.observe("POST", "/v1/completions", 201, 0.75, 300, 4000);
  http.observe("POST", "/v1/completions", 400, 0.001, 50, 80);
  http.observe("GET", "/v1/models", 200, 0.001, 0, 300);
  const Exposition text = parse_prometheus(registry.render());
  const auto& requests = text.samples.at("http_requests_total");
  EXPECT_EQ(requests.at(R"(handler="/v1/completions",method="POST",status="2xx")"), 2);
  EXPECT_EQ(requests.at(R"(handler="/v1/completions",method="POST",status="4xx")"), 1);
  EXPECT_EQ(requests.at(R"(handler="/v1/models",method="GET",status="2xx")"), 1);
  EXPECT_EQ(
      text.samples.at("http_request_duration_seconds_count").at(R"(handler="/v1/completions",method="POST")"),
      3);
  EXPECT_EQ(
      text.samples.at("http_request_duration_seconds_sum").at(R"(handler="/v1/completions",method="POST")"),
      1.001);
  EXPECT_EQ(text.samples.at("http_request_size_bytes_sum").at(R"(handler="/v1/completions")"), 450);
  EXPECT_EQ(text.samples.at("http_response_size_bytes_sum").at(R"(handler="/v1/completions")"), 6080);
  EXPECT_EQ(text.samples.at("http_request_size_bytes_count").at(R"(handler="/v1/completions")"), 3);
  EXPECT_EQ(text.types.at("http_request_size_bytes"), "summary");
  EXPECT_FALSE(text.has("http_request_size_bytes_bucket"));
  EXPECT_EQ(text.value("http_request_duration_highr_seconds_count"), 4);
  EXPECT_EQ(text.samples.at("http_request_duration_highr_seconds_bucket").at(R"(le="0.25")"), 3);
}

TEST(HttpMetrics, WhatClientsInventMakesNoSeries) {
  MetricsRegistry registry;
  HttpMetrics http(&registry);
  for (int i = 0; i < 100; ++i) http.observe("M" + std::to_string(i), "", 404, 0, 0, 0);
  const Exposition text = parse_prometheus(registry.render());
  ASSERT_EQ(text.samples.at("http_requests_total").size(), 1u);
  EXPECT_EQ(text.samples.at("http_requests_total").at(R"(handler="none",method="other",status="4xx")"), 100);
}

}  // namespace
}  // namespace pagoda
