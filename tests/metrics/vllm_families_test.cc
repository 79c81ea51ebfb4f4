// Dashboards, autoscalers and routers made for vLLM read its families: each must be here as it is there.
#include "tests/metrics/vllm_families.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "metrics/catalog.h"
#include "metrics/http_metrics.h"
#include "metrics/process_metrics.h"
#include "tests/metrics/prometheus_text.h"

namespace pagoda {
namespace {

using testing::Exposition;
using testing::kVllmFamilies;
using testing::parse_prometheus;
using testing::VllmFamily;

// What these count is not built: a model's arithmetic per GPU, media. cache_config_info is the assembly's.
bool is_left_out(const std::string& name) {
  return name.starts_with("vllm:estimated_") || name.starts_with("vllm:mm_cache_") ||
         name == "vllm:cache_config_info";
}

std::set<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

// Of all series of a family; `le` apart.
struct Shape {
  std::set<std::string> labels, bounds;
};
Shape shape_of(const Exposition& text, const VllmFamily& family) {
  static const std::regex label("([a-z_]+)=\"([^\"]*)\"");
  const std::string suffix = family.type == std::string("histogram") ? "_bucket"
                             : family.type == std::string("summary") ? "_count"
                                                                     : "";
  Shape shape;
  auto samples = text.samples.find(family.name + suffix);
  if (samples == text.samples.end()) return shape;
  for (const auto& [labels, value] : samples->second)
    for (std::sregex_iterator it(labels.begin(), labels.end(), label), end; it != end; ++it)
      (*it)[1] == "le" ? shape.bounds.insert((*it)[2]) : shape.labels.insert((*it)[1]);
  return shape;
}

TEST(VllmFamilies, AreHereWithTheirTypesLabelsAndBounds) {
  MetricsRegistry registry;
  EngineMetrics engine(&registry, "m", 2048);
  add_process_metrics(&registry);
  HttpMetrics http(&registry);
  http.observe("GET", "/v1/models", 200, 0.01, 10, 10);
  const Exposition text = parse_prometheus(registry.render());
  int num_compared = 0;
  for (const VllmFamily& family : kVllmFamilies) {
    SCOPED_TRACE(family.name);
    if (is_left_out(family.name)) continue;
    ++num_compared;
    ASSERT_TRUE(text.types.count(family.name));
    EXPECT_EQ(text.types.at(family.name), family.type);
    const Shape shape = shape_of(text, family);
    EXPECT_EQ(shape.labels, words(family.labels));
    if (shape.bounds.size() > words(family.bounds).size()) {  // finer ones may stand among theirs
      for (const std::string& bound : words(family.bounds)) EXPECT_TRUE(shape.bounds.count(bound)) << bound;
      EXPECT_NE(std::string(family.name).find("token"), std::string::npos);
    } else {
      EXPECT_EQ(shape.bounds, words(family.bounds));
    }
  }
  EXPECT_GT(num_compared, 70);
}

TEST(VllmFamilies, BoundsCanBeChosenByFamily) {
  MetricsRegistry registry;
  EngineMetrics engine(
      &registry, "m", 2048,
      {.block_residency = true,
       .bounds = {{"request_latency", {1, 2.5}}, {"kv_cache_residency", {7}}, {"request_tokens", {64}}}});
  const Exposition text = parse_prometheus(registry.render());
  struct Case {
    const char *name, *bounds;
  } cases[] = {{"vllm:e2e_request_latency_seconds", "1.0 2.5 +Inf"},
               {"vllm:request_queue_time_seconds", "1.0 2.5 +Inf"},
               {"vllm:request_decode_time_seconds", "1.0 2.5 +Inf"},
               {"vllm:kv_block_lifetime_seconds", "7.0 +Inf"},
               {"vllm:kv_block_reuse_gap_seconds", "7.0 +Inf"},
               {"vllm:request_prompt_tokens", "64.0 +Inf"},
               {"vllm:request_params_n", "1.0 2.0 5.0 10.0 20.0 +Inf"}};
  for (const Case& one : cases)
    EXPECT_EQ(shape_of(text, {one.name, "histogram", "", ""}).bounds, words(one.bounds)) << one.name;
  EXPECT_EQ(histogram_families().size(), 8u);
}

}  // namespace
}  // namespace pagoda
