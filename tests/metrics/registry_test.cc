#include "metrics/registry.h"

#include <gtest/gtest.h>

#include <ctime>
#include <sstream>
#include <thread>

#include "tests/metrics/prometheus_text.h"

namespace pagoda {
namespace {

std::string without_created(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);)
    if (line.find("_created") == std::string::npos) out += line + '\n';
  return out;
}

TEST(MetricsRegistry, RendersPrometheusText) {
  MetricsRegistry registry;
  registry.counter("a:requests", "How many.", {{"path", "/v1\"x\\"}}).add(3);
  registry.gauge("b", "Now.", {}).set(0.25);
  Histogram& histogram = registry.histogram("c_seconds", "Time.", {{"k", "v"}}, {0.1, 1});
  histogram.observe(0.1);  // bounds are inclusive
  histogram.observe(0.5, 2);
  histogram.observe(7);
  registry.summary("d_bytes", "Size.", {{"z", "1"}, {"b", "2"}}).observe(5, 2);
  EXPECT_EQ(
      without_created(registry.render()),
      "# HELP a:requests_total How many.\n# TYPE a:requests_total counter\n"
      "a:requests_total{path=\"/v1\\\"x\\\\\"} 3.0\n"
      "# HELP b Now.\n# TYPE b gauge\nb 0.25\n"
      "# HELP c_seconds Time.\n# TYPE c_seconds histogram\n"
      "c_seconds_bucket{k=\"v\",le=\"0.1\"} 1.0\nc_seconds_bucket{k=\"v\",le=\"1.0\"} 3.0\n"
      "c_seconds_bucket{k=\"v\",le=\"+Inf\"} 4.0\nc_seconds_count{k=\"v\"} 4.0\nc_seconds_sum{k=\"v\"} 8.1\n"
      "# HELP d_bytes Size.\n# TYPE d_bytes summary\n"
      "d_bytes_count{b=\"2\",z=\"1\"} 2.0\nd_bytes_sum{b=\"2\",z=\"1\"} 10.0\n");
}

TEST(MetricsRegistry, ReadersGetUtf8) {
  MetricsRegistry registry;
  registry.gauge("g", "Caf\xe9.", {{"model_name", "n\xe9m \xc3\xa9"}}).set(1);
  EXPECT_EQ(registry.render(),
            "# HELP g Caf\uFFFD.\n# TYPE g gauge\ng{model_name=\"n\uFFFDm \u00e9\"} 1.0\n");
}

TEST(MetricsRegistry, TellsSinceWhenItCounts) {
  const auto before = static_cast<double>(std::time(nullptr));
  MetricsRegistry registry;
  registry.counter("n", "", {{"i", "1"}});
  registry.histogram("h_seconds", "", {}, {1});
  registry.gauge("g", "", {});
  registry.counter_without_start("old", "");
  const testing::Exposition text = testing::parse_prometheus(registry.render());
  for (const char* name : {"n_created", "h_seconds_created"}) {
    ASSERT_TRUE(text.has(name));
    EXPECT_EQ(text.types.at(name), "gauge");
    EXPECT_GE(text.value(name), before);
    EXPECT_LE(text.value(name), before + 60);
  }
  EXPECT_FALSE(text.has("g_created") || text.has("old_created"));
  EXPECT_TRUE(text.has("old_total"));
}

TEST(MetricsRegistry, UpdatesFromManyThreadsAddUp) {
  MetricsRegistry registry;
  Counter& counter = registry.counter("n", "", {});
  Histogram& histogram = registry.histogram("h", "", {}, {1, 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) counter.add(), histogram.observe(1.5);
    });
  for (int i = 0; i < 20; ++i) (void)registry.render();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 20000);
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_EQ(histogram.sum(), 30000);
}

// Series of which some appear while others are written and read: as the HTTP metrics' do.
TEST(MetricsRegistry, SeriesAppearWhileOthersAreRendered) {
  MetricsRegistry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) registry.counter("n", "", {{"i", std::to_string(i)}}).add();
    });
  for (int i = 0; i < 20; ++i) (void)registry.render();
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 200; ++i) EXPECT_EQ(registry.counter("n", "", {{"i", std::to_string(i)}}).value(), 4);
}

TEST(MetricsRegistry, RefreshesBeforeRendering) {
  MetricsRegistry registry;
  Gauge& gauge = registry.gauge("g", "", {});
  registry.before_render([&] { gauge.add(1); });
  (void)registry.render();
  EXPECT_NE(registry.render().find("\ng 2.0\n"), std::string::npos);
}

}  // namespace
}  // namespace pagoda
