#include "metrics/registry.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"

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

// UTF-8, in which label values escape backslash, quote and newline (Prometheus exposition format 0.0.4).
std::string escaped(const std::string& text, bool quotes) {
  std::string out;
  for (char c : sanitize_utf8(text)) {
    if (c == '\\' || (c == '"' && quotes)) out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

// Labels are sorted; `le` finds its place among them.
std::string label_text(const Labels& labels, const std::string& le = {}) {
  std::string out;
  auto put = [&](const std::string& name, const std::string& value) {
    out += (out.empty() ? "{" : ",") + name + "=\"" + escaped(value, true) + "\"";
  };
  bool is_open = !le.empty();
  for (const auto& [name, value] : labels) {
    if (is_open && name > "le") put("le", le), is_open = false;
    put(name, value);
  }
  if (is_open) put("le", le);
  return out.empty() ? out : out + "}";
}

std::string head(const std::string& name, const std::string& help, const std::string& type) {
  return "# HELP " + name + " " + escaped(help, false) + "\n# TYPE " + name + " " + type + "\n";
}

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
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

template <class Metric, class... Args>
Metric& MetricsRegistry::get(const std::string& name, const std::string& help, const char* type,
                             Labels labels, std::unique_ptr<Metric> Series::*metric, Args&&... args) {
  std::ranges::sort(labels);
  std::lock_guard lock(mutex_);
  auto family = std::find_if(families_.begin(), families_.end(), [&](auto& f) { return f->name == name; });
  if (family == families_.end()) {
    families_.push_back(
        std::make_unique<Family>(Family{name, help, type, type != std::string_view("gauge"), {}}));
    family = families_.end() - 1;
  }
  PAGODA_CHECK((*family)->type == type, "one metric name has one type");
  std::vector<Series>& all = (*family)->series;
  auto entry =
      std::find_if(all.begin(), all.end(), [&](const Series& known) { return known.labels == labels; });
  if (entry == all.end()) {
    all.push_back({labels, unix_time(), nullptr, nullptr, nullptr, nullptr});
    entry = all.end() - 1;
    (*entry).*metric = std::make_unique<Metric>(std::forward<Args>(args)...);
  }
  return *((*entry).*metric);
}

Counter& MetricsRegistry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return get(name, help, "counter", labels, &Series::counter);
}

Gauge& MetricsRegistry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return get(name, help, "gauge", labels, &Series::gauge);
}

Histogram& MetricsRegistry::histogram(const std::string& name, const std::string& help, const Labels& labels,
                                      std::vector<double> bounds) {
  return get(name, help, "histogram", labels, &Series::histogram, std::move(bounds));
}

Summary& MetricsRegistry::summary(const std::string& name, const std::string& help, const Labels& labels) {
  return get(name, help, "summary", labels, &Series::summary);
}

Counter& MetricsRegistry::counter_without_start(const std::string& name, const std::string& help) {
  Counter& counter = this->counter(name, help, {});
  std::lock_guard lock(mutex_);
  for (auto& family : families_)
    if (family->name == name) family->has_created = false;
  return counter;
}

void MetricsRegistry::before_render(std::function<void()> update) {
  std::lock_guard lock(mutex_);
  before_render_.push_back(std::move(update));
}

void MetricsRegistry::render_series(const Family& family, const std::string& name, const Series& entry,
                                    std::string* out) {
  const std::string labels = label_text(entry.labels);
  auto put = [&](const char* suffix, const std::string& of, double value) {
    *out += name + suffix + of + " " + number(value) + "\n";
  };
  if (entry.counter) return put("", labels, entry.counter->value());
  if (entry.gauge) return put("", labels, entry.gauge->value());
  const Histogram& histogram = entry.histogram ? *entry.histogram : *entry.summary;
  uint64_t total = 0;
  for (std::size_t i = 0; i < histogram.buckets_.size(); ++i) {
    total += histogram.buckets_[i].load(std::memory_order_relaxed);
    if (family.type == "summary") continue;
    std::string le = i < histogram.bounds_.size() ? number(histogram.bounds_[i]) : "+Inf";
    put("_bucket", label_text(entry.labels, le), static_cast<double>(total));
  }
  put("_count", labels, static_cast<double>(total));
  put("_sum", labels, histogram.sum());
}

std::string MetricsRegistry::render() const {
  std::lock_guard lock(mutex_);
  for (const auto& update : before_render_) update();
  std::string out;
  for (const auto& family : families_) {
    const std::string name = family->name + (family->type == "counter" ? "_total" : "");
    out += head(name, family->help, family->type);
    for (const Series& entry : family->series) render_series(*family, name, entry, &out);
    if (!family->has_created) continue;
    out += head(family->name + "_created", family->help, "gauge");
    for (const Series& entry : family->series)
      out += family->name + "_created" + label_text(entry.labels) + " " + number(entry.created_s) + "\n";
  }
  return out;
}

}  // namespace pagoda
