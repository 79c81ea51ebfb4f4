#include "metrics/registry.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/json.h"

namespace pagoda {
namespace {

void add_relaxed(std::atomic<double>* target, double amount) {
  double seen = target->load(std::memory_order_relaxed);
  while (!target->compare_exchange_weak(seen, seen + amount, std::memory_order_relaxed)) {
  }
}

std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (std::isnan(value)) return "NaN";
  return python_float_repr(value);
}

// Label values escape backslash, quote and newline (Prometheus exposition format 0.0.4).
std::string escaped(const std::string& text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || (c == '"' && quotes)) out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string label_text(const Labels& labels, const std::string& le = {}) {
  std::string out;
  auto put = [&](const std::string& name, const std::string& value) {
    out += (out.empty() ? "{" : ",") + name + "=\"" + escaped(value, true) + "\"";
  };
  for (const auto& [name, value] : labels) put(name, value);
  if (!le.empty()) put("le", le);
  return out.empty() ? out : out + "}";
}

}  // namespace

void Counter::add(double amount) {
  add_relaxed(&value_, amount);
}
void Gauge::add(double amount) {
  add_relaxed(&value_, amount);
}

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)), buckets_(bounds_.size() + 1) {
  PAGODA_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()), "histogram bounds ascend");
}

void Histogram::observe(double value, uint64_t times) {
  if (times == 0) return;
  std::size_t bucket =
      static_cast<std::size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  buckets_[bucket].fetch_add(times, std::memory_order_relaxed);
  add_relaxed(&sum_, value * static_cast<double>(times));
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

MetricsRegistry::Series& MetricsRegistry::series(const std::string& name, const std::string& help,
                                                 const char* type, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto family = std::find_if(families_.begin(), families_.end(), [&](auto& f) { return f->name == name; });
  if (family == families_.end()) {
    families_.push_back(std::make_unique<Family>(Family{name, help, type, {}}));
    family = families_.end() - 1;
  }
  PAGODA_CHECK((*family)->type == type, "one metric name has one type");
  for (Series& known : (*family)->series)
    if (known.labels == labels) return known;
  (*family)->series.push_back({labels, nullptr, nullptr, nullptr});
  return (*family)->series.back();
}

Counter& MetricsRegistry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  Series& entry = series(name, help, "counter", labels);
  if (!entry.counter) entry.counter = std::make_unique<Counter>();
  return *entry.counter;
}

Gauge& MetricsRegistry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  Series& entry = series(name, help, "gauge", labels);
  if (!entry.gauge) entry.gauge = std::make_unique<Gauge>();
  return *entry.gauge;
}

Histogram& MetricsRegistry::histogram(const std::string& name, const std::string& help, const Labels& labels,
                                      std::vector<double> bounds) {
  Series& entry = series(name, help, "histogram", labels);
  if (!entry.histogram) entry.histogram = std::make_unique<Histogram>(std::move(bounds));
  return *entry.histogram;
}

std::string MetricsRegistry::render() const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& family : families_) {
    std::string name = family->name + (family->type == "counter" ? "_total" : "");
    out += "# HELP " + name + " " + escaped(family->help, false) + "\n# TYPE " + name + " " + family->type +
           "\n";
    for (const Series& entry : family->series) {
      if (entry.counter) out += name + label_text(entry.labels) + " " + number(entry.counter->value()) + "\n";
      if (entry.gauge) out += name + label_text(entry.labels) + " " + number(entry.gauge->value()) + "\n";
      if (!entry.histogram) continue;
      const Histogram& histogram = *entry.histogram;
      uint64_t total = 0;
      for (std::size_t i = 0; i < histogram.buckets_.size(); ++i) {
        total += histogram.buckets_[i].load(std::memory_order_relaxed);
        std::string le = i < histogram.bounds_.size() ? number(histogram.bounds_[i]) : "+Inf";
        out +=
            name + "_bucket" + label_text(entry.labels, le) + " " + number(static_cast<double>(total)) + "\n";
      }
      out += name + "_sum" + label_text(entry.labels) + " " + number(histogram.sum()) + "\n";
      out += name + "_count" + label_text(entry.labels) + " " + number(static_cast<double>(total)) + "\n";
    }
  }
  return out;
}

}  // namespace pagoda
