// What Prometheus' clients in all languages tell of their process, under the same names: process_cpu_seconds,
// process_resident_memory_bytes and so on, read from /proc at each scrape.
#pragma once
#include "metrics/registry.h"

namespace pagoda {

// Once per registry.
void add_process_metrics(MetricsRegistry* registry);

}  // namespace pagoda
