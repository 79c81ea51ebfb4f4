#include "metrics/process_metrics.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <vector>

#include "tests/metrics/prometheus_text.h"

namespace pagoda {
namespace {

using testing::Exposition;
using testing::parse_prometheus;

TEST(ProcessMetrics, TellsOfThisProcess) {
  MetricsRegistry registry;
  add_process_metrics(&registry);
  const Exposition before = parse_prometheus(registry.render());
  EXPECT_EQ(before.types.at("process_cpu_seconds_total"), "counter");
  EXPECT_GT(before.value("process_resident_memory_bytes"), 1e5);
  EXPECT_GT(before.value("process_virtual_memory_bytes"), before.value("process_resident_memory_bytes"));
  EXPECT_GE(before.value("process_max_fds"), before.value("process_open_fds"));
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(before.value("process_start_time_seconds"), now + 1);
  EXPECT_GT(before.value("process_start_time_seconds"), now - 3600);

  std::vector<int> opened;
  for (int i = 0; i < 5; ++i) opened.push_back(::open("/dev/null", O_RDONLY));
  double cpu_s = before.value("process_cpu_seconds_total");
  volatile double work = 0;
  while (static_cast<double>(std::clock()) / CLOCKS_PER_SEC < cpu_s + 0.05) work = work + 1;
  const Exposition after = parse_prometheus(registry.render());
  EXPECT_EQ(after.value("process_open_fds"), before.value("process_open_fds") + 5);
  EXPECT_GT(after.value("process_cpu_seconds_total"), cpu_s);
  for (int fd : opened) ::close(fd);
}

}  // namespace
}  // namespace pagoda
