#include "cli/observe_flags.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "base/json.h"
#include "base/log.h"
#include "cli/environment.h"
#include "cli/flag_checks.h"

namespace pagoda {
namespace {

constexpr const char* kFlag = "kv-events-config";
constexpr int64_t kMany = std::numeric_limits<int>::max() - 1;  // ZeroMQ's limits are ints

Status wrong(const std::string& what) {
  return invalid_argument("flag --" + std::string(kFlag) + ": " + what, kFlag);
}
Status wrong_type(const Member& field, const char* wanted) {
  return wrong("field '" + field.key + "' must be " + wanted + ", not " + field.value.type_name());
}

Result<bool> boolean(const Member& field) {
  if (!field.value.is_bool()) return wrong_type(field, "true or false");
  return field.value.as_bool();
}

Result<int64_t> count(const Member& field, int64_t low) {
  if (!field.value.is_int()) return wrong_type(field, "an integer");
  const int64_t value = field.value.as_int();
  if (value < low || value > kMany)
    return wrong("field '" + field.key + "' must be between " + std::to_string(low) + " and " +
                 std::to_string(kMany) + ", not " + std::to_string(value));
  return value;
}

Result<std::string> endpoint(const Member& field) {
  if (!field.value.is_string()) return wrong_type(field, "a string such as tcp://*:5557");
  const std::string& text = field.value.as_string();
  for (const char* scheme : {"tcp://", "ipc://", "inproc://"})
    if (text.starts_with(scheme) && text.size() > std::string(scheme).size()) return text;
  return wrong("field '" + field.key + "' must be a ZeroMQ endpoint (tcp://, ipc:// or inproc://), not '" +
               text + "'");
}

Result<std::string> choice(const Member& field, std::array<const char*, 2> choices) {
  const std::string list = std::string("'") + choices[0] + "' or '" + choices[1] + "'";
  if (!field.value.is_string()) return wrong_type(field, list.c_str());
  if (std::ranges::find(choices, field.value.as_string()) != choices.end()) return field.value.as_string();
  return wrong("field '" + field.key + "' must be " + list + ", not '" + field.value.as_string() + "'");
}

Status read_field(const Member& field, KvEventsConfig* config, std::string* publisher) {
  const std::string& key = field.key;
  if (key == "enable_kv_cache_events") {
    PAGODA_TRY(config->enabled, boolean(field));
  } else if (key == "publisher") {
    if (field.value.is_null()) return {};
    PAGODA_TRY(*publisher, choice(field, {"zmq", "null"}));
  } else if (key == "endpoint") {
    PAGODA_TRY(config->endpoint, endpoint(field));
  } else if (key == "replay_endpoint") {
    if (field.value.is_null()) return {};
    PAGODA_TRY(config->replay_endpoint, endpoint(field));
  } else if (key == "buffer_steps") {
    PAGODA_TRY(config->buffer_steps, count(field, 0));
  } else if (key == "hwm") {
    PAGODA_TRY(config->hwm, count(field, 0));
  } else if (key == "max_queue_size") {
    PAGODA_TRY(config->max_queue_size, count(field, 1));
  } else if (key == "topic") {
    if (!field.value.is_string()) return wrong_type(field, "a string");
    config->topic = field.value.as_string();
  } else if (key == "encoding") {
    PAGODA_TRY(std::string encoding, choice(field, {"map", "array"}));
    config->array_events = encoding == "array";
  } else {
    return wrong(
        "unknown field '" + key +
        "'; there are enable_kv_cache_events, publisher, endpoint, replay_endpoint, buffer_steps, hwm, "
        "max_queue_size, topic, encoding");
  }
  return {};
}

}  // namespace

Result<KvEventsConfig> read_kv_events(const FlagValues& flags) {
  KvEventsConfig config;
  PAGODA_TRY(Value given, object_flag(flags, kFlag));
  if (given.is_null()) return config;
  std::string publisher;
  for (const Member& field : given.as_object())
    PAGODA_RETURN_IF_ERROR(read_field(field, &config, &publisher));
  if (!config.enabled && publisher == "zmq")
    log_warning("--{} names the publisher zmq, but enable_kv_cache_events is not true: nothing is published",
                kFlag);
  config.enabled = config.enabled && publisher != "null";
  PAGODA_TRY(config.int_hashes, variable_truth("VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES", true));
  return config;
}

Result<HistogramBounds> read_histogram_bounds(const FlagValues& flags) {
  constexpr const char* kName = "custom-histogram-buckets";
  constexpr std::size_t kMost = 1000;  // each bound is a time series
  auto wrong = [&](const std::string& what) {
    return invalid_argument("flag --" + std::string(kName) + ": " + what, kName);
  };
  PAGODA_TRY(Value given, object_flag(flags, kName));
  HistogramBounds all;
  if (given.is_null()) return all;
  for (const Member& member : given.as_object()) {
    const std::string& family = member.key;
    const auto known = histogram_families();
    if (std::ranges::find(known, family) == known.end()) {
      std::string list;
      for (const char* name : known) list += (list.empty() ? "" : ", ") + std::string(name);
      return wrong("unknown family '" + family + "'; there are " + list);
    }
    if (!member.value.is_array() || member.value.as_array().empty() || member.value.as_array().size() > kMost)
      return wrong("'" + family + "' must be a list of 1 to " + std::to_string(kMost) + " bounds");
    std::vector<double>& bounds = all[family];
    for (const Value& bound : member.value.as_array()) {
      if (!bound.is_number() || !(bound.as_double() > 0) || !std::isfinite(bound.as_double()))
        return wrong("a bound of '" + family + "' must be a number above 0, not " + write_json(bound));
      if (!bounds.empty() && bound.as_double() <= bounds.back())
        return wrong("the bounds of '" + family + "' must ascend: " + write_json(bound) + " comes after " +
                     python_float_repr(bounds.back()));
      bounds.push_back(bound.as_double());
    }
  }
  return all;
}

Result<double> read_residency_sample(const FlagValues& flags) {
  PAGODA_TRY(double sample, real_above(flags, "kv-cache-metrics-sample", 0.01, 0, 1));
  return flags.flag("kv-cache-metrics", false) ? sample : 0.0;
}

}  // namespace pagoda
