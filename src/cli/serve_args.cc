#include "cli/serve_args.h"

#include <algorithm>
#include <limits>
#include <map>

#include "base/env.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/flag_checks.h"
#include "cli/flag_field.h"
#include "cli/kv_offload_flags.h"
#include "cli/observe_flags.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

Status check_http(const FlagValues& flags, HttpServerConfig* http) {
  const TlsConfig& tls = http->tls;
  if (tls.keyfile.empty() != tls.certfile.empty())
    return invalid_argument("--ssl-certfile and --ssl-keyfile go together", "ssl-certfile");
  const bool sets_tls = tls.cert_reqs > 0 || !tls.ca_certs.empty() || !tls.ciphers.empty();
  if (tls.certfile.empty() && sets_tls)
    return invalid_argument(
        "--ssl-cert-reqs, --ssl-ca-certs and --ssl-ciphers need TLS: give --ssl-certfile and --ssl-keyfile",
        "ssl-certfile");
  constexpr int64_t kLongest = 1 << 30;
  PAGODA_TRY(auto idle_s, variable_int("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", -kLongest, kLongest));
  if (idle_s) http->idle_timeout_s = static_cast<double>(std::max<int64_t>(*idle_s, 0));
  std::string paths = flags.text("disable-access-log-for-endpoints");
  while (!paths.empty()) {
    std::size_t comma = std::min(paths.find(','), paths.size());
    http->access_log_excluded_paths.push_back(paths.substr(0, comma));
    paths.erase(0, comma + 1);
  }
  return {};
}

Status read_client_weights(const FlagValues& flags, std::map<std::string, uint32_t>* weights) {
  PAGODA_TRY(Value value, object_flag(flags, "client-weights"));
  if (value.is_null()) return {};
  constexpr int64_t kMost = 1000;
  for (const Member& member : value.as_object()) {
    if (!member.value.is_int() || member.value.as_int() < 1 || member.value.as_int() > kMost)
      return invalid_argument("flag --client-weights: the weight of '" + member.key +
                                  "' must be a whole number from 1 to " + std::to_string(kMost),
                              "client-weights");
    (*weights)[member.key] = static_cast<uint32_t>(member.value.as_int());
  }
  return {};
}

Status read_request_limits(RequestLimits* limits) {
  constexpr int64_t kMany = 1 << 20;
  PAGODA_TRY(auto n, variable_int("VLLM_MAX_N_SEQUENCES", 1, kMany));
  PAGODA_TRY(auto prompts, variable_int("VLLM_MAX_COMPLETION_PROMPTS", 1, kMany));
  PAGODA_TRY(auto stops, variable_int("VLLM_MAX_STOP_STRINGS", 0, kMany));
  if (n) limits->n_max = static_cast<int32_t>(*n);
  if (prompts) limits->prompts_max = static_cast<std::size_t>(*prompts);
  if (stops) limits->stop_strings_max = static_cast<std::size_t>(*stops);
  return {};
}

// A key that no request can bring would lock all clients out. Bytes above 0x7f are bytes like others: keys
// are compared as headers carry them.
Status check_key(const std::string& where, std::string_view key, std::size_t header_bytes_max) {
  constexpr std::size_t kOtherHeaders = 256;
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  if (key.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return invalid_argument(where + " must not be empty", "api-key");
  if (std::any_of(key.begin(), key.end(), is_control))
    return invalid_argument(where + " holds a control character, which no request's header can carry",
                            "api-key");
  if (key.front() == ' ' || key.back() == ' ')
    return invalid_argument(where + " begins or ends with a blank, which no request's header keeps",
                            "api-key");
  if (key.size() + kOtherHeaders > header_bytes_max)
    return invalid_argument(where + " has " + std::to_string(key.size()) +
                                " bytes, which no request can bring: its headers may have " +
                                std::to_string(header_bytes_max) + " (--h11-max-incomplete-event-size)",
                            "api-key");
  return {};
}

// Blanks around the variable's key are left out: a key read from a file brings its newline along.
Status check_keys(std::size_t header_bytes_max, std::vector<std::string>* keys) {
  for (const std::string& key : *keys) PAGODA_RETURN_IF_ERROR(check_key("--api-key", key, header_bytes_max));
  if (!keys->empty()) return {};
  std::string key = variable_text("VLLM_API_KEY").value_or("");
  if (key.empty()) return {};
  key.erase(key.find_last_not_of(" \t\r\n") + 1);
  key.erase(0, key.find_first_not_of(" \t\r\n"));
  PAGODA_RETURN_IF_ERROR(check_key("VLLM_API_KEY", key, header_bytes_max));
  keys->push_back(std::move(key));
  return {};
}

// Flags without effect are validated all the same: a value out of range is a typing error.
Status check_parallel(const FlagValues& flags) {
  constexpr int64_t kMost = 1 << 24;
  struct Range {
    const char* name;
    int64_t least, most;
  };
  constexpr Range kRanges[] = {
      {"tensor-parallel-size", 1, kMost},
      {"pipeline-parallel-size", 1, kMost},
      {"data-parallel-size", 1, kMost},
      {"decode-context-parallel-size", 1, kMost},
      {"prefill-context-parallel-size", 1, kMost},
      {"data-parallel-rank", 0, kMost},
      {"data-parallel-start-rank", 0, kMost},
      {"data-parallel-size-local", 0, kMost},
      {"data-parallel-rpc-port", 1, 65535},
      {"nnodes", 1, kMost},
      {"node-rank", 0, kMost},
      {"max-parallel-loading-workers", 1, kMost},
  };
  for (const Range& range : kRanges)
    if (flags.given(range.name))
      PAGODA_RETURN_IF_ERROR(number_in(flags, range.name, range.least, range.least, range.most).status());
  return {};
}

Status check_api(const FlagValues& flags, ApiServerConfig* api) {
  PAGODA_RETURN_IF_ERROR(check_keys(api->http.header_bytes_max, &api->api_keys));
  PAGODA_RETURN_IF_ERROR(check_parallel(flags));
  api->version = kVersion;
  api->system_fingerprint = std::string("pagoda-") + kVersion;
  api->max_log_len = static_cast<int>(
      std::clamp<int64_t>(flags.number("max-log-len", -1), -1, std::numeric_limits<int>::max()));
  api->enable_log_outputs = api->enable_log_outputs && api->enable_log_requests;
  PAGODA_TRY(api->dev_mode, variable_truth("VLLM_SERVER_DEV_MODE", false));
  PAGODA_RETURN_IF_ERROR(read_request_limits(&api->limits));
  return read_client_weights(flags, &api->client_weights);
}

Status check_scheduler(const FlagValues& flags, const StepLimits& limits, SchedulerConfig* config) {
  const SchedulerConfig& args = *config;
  if (!(args.itl_slo_ms >= 0 && args.itl_slo_ms < 1e9))
    return invalid_argument("--itl-slo-ms must be a number of milliseconds, 0 for none", "itl-slo-ms");
  if (args.itl_slo_ms > 0 && !(args.adaptive_chunks && args.enable_chunked_prefill))
    return invalid_argument(
        "--itl-slo-ms sizes chunks of prompts: it needs --enable-chunked-prefill and --adaptive-chunks",
        "itl-slo-ms");
  if (!(args.watermark >= 0 && args.watermark < 1))
    return invalid_argument("--watermark must be at least 0 and less than 1", "watermark");
  PAGODA_RETURN_IF_ERROR(number_in(flags, "max-num-active-seqs", 1, 1, args.max_num_seqs).status());
  PAGODA_RETURN_IF_ERROR(
      number_in(flags, "max-num-scheduled-tokens", 1, 1, args.max_num_batched_tokens).status());
  if (limits.max_num_scheduled_tokens > 0 && !args.enable_chunked_prefill)
    return invalid_argument(
        "--max-num-scheduled-tokens needs --enable-chunked-prefill: a prompt may have more tokens",
        "max-num-scheduled-tokens");
  if (flags.given("async-scheduling")) config->max_in_flight = flags.flag("async-scheduling", false) ? 2 : 1;
  return {};
}

Status check_kv_cache_dtype(const std::string& name) {
  constexpr const char* kName = "kv-cache-dtype";
  if (name != "fp8_e5m2" && name != "fp8_ds_mla" && name != "fp8_inc") return {};
  return invalid_argument(
      "--kv-cache-dtype " + name +
          ": the 8-bit floating point cache is fp8 (e4m3 with a scale per token and head)",
      kName);
}

Status check_cache(const FlagValues& flags, CacheArgs* args) {
  PAGODA_RETURN_IF_ERROR(check_kv_cache_dtype(args->kv_cache_dtype));
  PAGODA_RETURN_IF_ERROR(one_of(flags, "kv-cache-dtype", "auto",
                                {"auto", "float32", "float", "bfloat16", "float16", "half", "fp8", "fp8_e4m3",
                                 "fp8_per_token_head", "int8", "int8_per_token_head"})
                             .status());
  args->block_size_is_given = flags.given("block-size");
  if (!(args->gpu_memory_utilization > 0 && args->gpu_memory_utilization <= 1))
    return invalid_argument("--gpu-memory-utilization must be above 0 and at most 1",
                            "gpu-memory-utilization");
  PAGODA_TRY(auto space_gib, variable_int("VLLM_CPU_KVCACHE_SPACE", 0, 1 << 20));
  if (space_gib.value_or(0) > 0 && !flags.given("kv-cache-memory-bytes") &&
      !flags.given("gpu-memory-utilization"))
    args->kv_cache_memory_bytes = *space_gib << 30;
  return read_kv_offload(flags, args);
}

Status check_cpu(const FlagValues& flags, CpuArgs* args) {
  PAGODA_TRY(auto reserved, variable_int("VLLM_CPU_NUM_OF_RESERVED_CPU", 0, 1024));
  if (reserved && !flags.given("threads") && !flags.given("cpu-list"))
    args->num_threads = std::max<int64_t>(1, usable_cpu_count() - *reserved);
  if (args->tune.empty())
    return invalid_argument("--cpu-tune takes auto, off, or the name of a file", "cpu-tune");
  if (!flags.given("cpu-list")) args->list = variable_text("VLLM_CPU_OMP_THREADS_BIND").value_or(args->list);
  return {};
}

Status check_model(const ParsedCommand& command, ModelArgs* args) {
  const FlagValues& flags = command.flags;
  if (command.positional.size() > 1)
    return invalid_argument("one model at a time: unexpected '" + command.positional[1] + "'");
  args->path = command.positional.empty() ? flags.text("model") : command.positional[0];
  if (!command.positional.empty() && flags.given("model") && flags.text("model") != args->path)
    return invalid_argument("two models are given: '" + args->path + "' and --model '" + flags.text("model") +
                            "'");
  PAGODA_RETURN_IF_ERROR(one_of(flags, "load-format", "auto", {"auto", "safetensors", "dummy"}).status());
  if (flags.given("hf-config-path") && !flags.given("hf-config"))
    args->hf_config = flags.text("hf-config-path") + "/config.json";
  if (args->max_model_len == 0)
    return invalid_argument("--max-model-len must be positive, -1 or auto", "max-model-len");
  PAGODA_TRY(args->allow_long_max_model_len, variable_switch("VLLM_ALLOW_LONG_MAX_MODEL_LEN", false));
  return {};
}

Status check_observability(const FlagValues& flags, EngineArgs* args) {
  PAGODA_TRY(args->observability.kv_events, read_kv_events(flags));
  PAGODA_TRY(args->cache.prefix_cache.residency_sample, read_residency_sample(flags));
  PAGODA_TRY(args->observability.histogram_bounds, read_histogram_bounds(flags));
  PAGODA_TRY(auto interval_s, variable_real("VLLM_LOG_STATS_INTERVAL", -1e9, 1e9));
  if (interval_s.value_or(0) > 0) args->config.stats_interval_s = std::max(*interval_s, 0.1);
  PAGODA_TRY(auto step_timeout_s, variable_real("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", 1, 1e9));
  if (!flags.given("watchdog-timeout"))
    args->config.watchdog_timeout_s = step_timeout_s.value_or(args->config.watchdog_timeout_s);
  return {};
}

Status check_engine(const ParsedCommand& command, EngineArgs* args) {
  PAGODA_RETURN_IF_ERROR(check_model(command, &args->model));
  PAGODA_RETURN_IF_ERROR(check_observability(command.flags, args));
  PAGODA_RETURN_IF_ERROR(check_scheduler(command.flags, args->step_limits, &args->config.scheduler));
  PAGODA_RETURN_IF_ERROR(check_cache(command.flags, &args->cache));
  PAGODA_TRY(args->frontend.accept_any_model_name, variable_switch("VLLM_SKIP_MODEL_NAME_VALIDATION", false));
  return check_cpu(command.flags, &args->cpu);
}

// For /server_info and /kv_event_sources; secrets are left out.
void describe_settings(const FlagValues& flags, ServeArgs* args) {
  ApiServerConfig& api = args->api;
  for (const auto& [name, value] : flags.all()) {
    if (name == "api-key" || name == "hf-token" || name == "client-weights") continue;
    std::string key = name;
    std::ranges::replace(key, '-', '_');
    api.settings.set(std::move(key), value);
  }
  for (const VariableSpec& spec : variable_table())
    if (spec.is_read && std::string_view(spec.name).find("KEY") == std::string_view::npos)
      if (auto value = variable_text(spec.name)) api.environment.set(spec.name, *value);
  const KvEventsConfig& events = args->engine.observability.kv_events;
  if (!events.enabled) return;
  Object source;
  source.set("enable_kv_cache_events", true);
  source.set("publisher", "zmq");
  source.set("endpoint", events.endpoint);
  source.set("replay_endpoint", events.replay_endpoint.empty() ? Value() : Value(events.replay_endpoint));
  source.set("buffer_steps", events.buffer_steps);
  source.set("hwm", events.hwm);
  source.set("max_queue_size", events.max_queue_size);
  source.set("topic", events.topic);
  api.kv_event_sources.set("0", std::move(source));
}

}  // namespace

Result<ServeArgs> serve_args(const ParsedCommand& command) {
  ServeArgs args;
  PAGODA_RETURN_IF_ERROR(assign_fields(serve_flag_table(), command.flags, &args));
  PAGODA_RETURN_IF_ERROR(check_http(command.flags, &args.api.http));
  PAGODA_RETURN_IF_ERROR(check_api(command.flags, &args.api));
  PAGODA_RETURN_IF_ERROR(check_engine(command, &args.engine));
  describe_settings(command.flags, &args);
  PAGODA_TRY(args.log, read_log_flags(command.flags));
  // More choices than the queue holds would be refused for ever.
  args.api.limits.n_max = static_cast<int32_t>(
      std::min<int64_t>(args.api.limits.n_max, args.engine.config.scheduler.max_num_queued_reqs));
  args.quiet = args.log.level == LogLevel::kError;
  return args;
}

}  // namespace pagoda
