// The metrics room: counters, gauges, histograms and summaries in Prometheus' text format 0.0.4, declared
// once in catalog.h with help and unit. Updating is wait-free (relaxed atomics); rendering takes no lock that
// an update needs. Written as Prometheus' Python client writes it, which vLLM uses: labels by name, and
// beside what counts a gauge `_created` with the time since 1970 from which it has counted.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace pagoda {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(double amount = 1);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);  // ascending, without +Inf
  void observe(double value, uint64_t times = 1);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  friend class MetricsRegistry;
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> buckets_;  // [bounds + 1], not cumulative
  std::atomic<double> sum_{0};
};

// Count and sum of what was observed, without buckets.
class Summary : public Histogram {
 public:
  Summary() : Histogram({}) {}
};

// Owns the metrics; references stay valid as long as it lives. All calls from any thread.
class MetricsRegistry {
 public:
  // One series per (name, labels); families of one name share help and are printed together. `name` without
  // `_total`.
  Counter& counter(const std::string& name, const std::string& help, const Labels& labels);
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels);
  Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels,
                       std::vector<double> bounds);
  Summary& summary(const std::string& name, const std::string& help, const Labels& labels);
  // A counter of something that has counted since before the process knew of it: no `_created`.
  Counter& counter_without_start(const std::string& name, const std::string& help);
  // Called before each rendering, one at a time, by the thread that renders: for what only a reader needs
  // fresh. It must not call the registry.
  void before_render(std::function<void()> update);
  std::string render() const;

 private:
  struct Series {
    Labels labels;     // by name
    double created_s;  // since 1970
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
    std::unique_ptr<Summary> summary;
  };
  struct Family {
    std::string name, help, type;
    bool has_created = true;
    std::vector<Series> series;
  };
  static void render_series(const Family& family, const std::string& name, const Series& entry,
                            std::string* out);
  template <class Metric, class... Args>
  Metric& get(const std::string& name, const std::string& help, const char* type, Labels labels,
              std::unique_ptr<Metric> Series::*metric, Args&&... args);
  mutable std::mutex mutex_;
  std::vector<std::function<void()>> before_render_;
  std::vector<std::unique_ptr<Family>> families_;
};

}  // namespace pagoda
