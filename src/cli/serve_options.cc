#include "cli/serve_options.h"

#include <algorithm>
#include <limits>
#include <map>

#include "base/env.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/flag_checks.h"
#include "cli/kv_offload_flags.h"
#include "cli/observe_flags.h"

namespace pagoda {
namespace {

Status read_list(const FlagValues& flags, const char* name, std::vector<std::string>* out) {
  Value value = flags.json(name);
  if (value.is_null()) return {};
  out->clear();
  if (value.is_array())
    for (const Value& item : value.as_array())
      if (item.is_string()) out->push_back(item.as_string());
  if (!value.is_array() || out->size() != value.as_array().size())
    return invalid_argument("flag --" + std::string(name) + " must be a JSON list of strings", name);
  return {};
}

Status read_http(const FlagValues& flags, HttpServerConfig* http) {
  http->host = flags.text("host");
  PAGODA_TRY(int64_t port, number_in(flags, "port", 8000, 0, 65535));
  http->port = static_cast<int>(port);
  http->uds = flags.text("uds");
  http->tls = {flags.text("ssl-certfile"), flags.text("ssl-keyfile"), flags.text("ssl-ca-certs"),
               flags.text("ssl-ciphers"), 0};
  PAGODA_TRY(int64_t cert_reqs, number_in(flags, "ssl-cert-reqs", 0, 0, 2));
  http->tls.cert_reqs = static_cast<int>(cert_reqs);
  if (http->tls.keyfile.empty() != http->tls.certfile.empty())
    return invalid_argument("--ssl-certfile and --ssl-keyfile go together", "ssl-certfile");
  const bool sets_tls = cert_reqs > 0 || !http->tls.ca_certs.empty() || !http->tls.ciphers.empty();
  if (http->tls.certfile.empty() && sets_tls)
    return invalid_argument(
        "--ssl-cert-reqs, --ssl-ca-certs and --ssl-ciphers need TLS: give --ssl-certfile and --ssl-keyfile",
        "ssl-certfile");
  PAGODA_RETURN_IF_ERROR(read_list(flags, "allowed-origins", &http->cors.allowed_origins));
  PAGODA_RETURN_IF_ERROR(read_list(flags, "allowed-methods", &http->cors.allowed_methods));
  PAGODA_RETURN_IF_ERROR(read_list(flags, "allowed-headers", &http->cors.allowed_headers));
  http->cors.allow_credentials = flags.flag("allow-credentials", false);
  http->root_path = flags.text("root-path");
  PAGODA_TRY(int64_t header_bytes, number_in(flags, "h11-max-incomplete-event-size", 65536, 1024, 16 << 20));
  PAGODA_TRY(int64_t header_count, number_in(flags, "h11-max-header-count", 256, 1, 65536));
  PAGODA_TRY(int64_t threads, number_in(flags, "api-server-count", 1, 1, 64));
  http->header_bytes_max = static_cast<std::size_t>(header_bytes);
  http->header_count_max = static_cast<int>(header_count);
  http->num_threads = static_cast<int>(threads);
  constexpr int64_t kLongest = 1 << 30;
  PAGODA_TRY(auto idle_s, variable_int("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", -kLongest, kLongest));
  if (idle_s) http->idle_timeout_s = static_cast<double>(std::max<int64_t>(*idle_s, 0));
  http->access_log = !flags.flag("disable-uvicorn-access-log", false);
  std::string paths = flags.text("disable-access-log-for-endpoints");
  while (!paths.empty()) {
    std::size_t comma = std::min(paths.find(','), paths.size());
    http->access_log_excluded_paths.push_back(paths.substr(0, comma));
    paths.erase(0, comma + 1);
  }
  PAGODA_TRY(int64_t connections, number_in(flags, "max-connections", 4096, 1, 1 << 20));
  PAGODA_TRY(int64_t body_mib, number_in(flags, "max-body-memory", 256, 1, 1 << 20));
  PAGODA_TRY(int64_t keep_alive_s, number_in(flags, "sse-keep-alive-interval", 0, 0, 1 << 24));
  http->connections_max = static_cast<int>(connections);
  http->body_memory_max = static_cast<std::size_t>(body_mib) << 20;
  http->sse_keep_alive_s = static_cast<double>(keep_alive_s);
  http->request_id_header = flags.flag("enable-request-id-headers", false);
  return {};
}

// 0 turns off what waits for it.
Result<double> seconds_flag(const FlagValues& flags, const char* name, double otherwise) {
  if (flags.given(name) && flags.real(name, 0) == 0) return 0.0;
  return real_above(flags, name, otherwise, 0, 1e9);
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

// A key that no request can bring would lock everybody out. Bytes above 0x7f are bytes like others: keys are
// compared as headers carry them.
Status judge_key(const std::string& where, std::string_view key, std::size_t header_bytes_max) {
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
Status read_keys(const FlagValues& flags, std::size_t header_bytes_max, std::vector<std::string>* keys) {
  *keys = flags.list("api-key");
  for (const std::string& key : *keys) PAGODA_RETURN_IF_ERROR(judge_key("--api-key", key, header_bytes_max));
  if (!keys->empty()) return {};
  std::string key = variable_text("VLLM_API_KEY").value_or("");
  if (key.empty()) return {};
  key.erase(key.find_last_not_of(" \t\r\n") + 1);
  key.erase(0, key.find_first_not_of(" \t\r\n"));
  PAGODA_RETURN_IF_ERROR(judge_key("VLLM_API_KEY", key, header_bytes_max));
  keys->push_back(std::move(key));
  return {};
}

// Flags without effect are validated all the same: a value out of range is a typing error.
Status judge_parallel(const FlagValues& flags) {
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

Status read_api(const FlagValues& flags, ApiServerConfig* api) {
  PAGODA_RETURN_IF_ERROR(judge_parallel(flags));
  api->version = kVersion;
  api->system_fingerprint = std::string("pagoda-") + kVersion;
  api->enable_log_requests = flags.flag("enable-log-requests", false);
  api->max_log_len = static_cast<int>(
      std::clamp<int64_t>(flags.number("max-log-len", -1), -1, std::numeric_limits<int>::max()));
  api->enable_log_outputs = api->enable_log_requests && flags.flag("enable-log-outputs", false);
  api->limits.exclude_tools_when_tool_choice_none = flags.flag("exclude-tools-when-tool-choice-none", false);
  api->enable_prompt_tokens_details = flags.flag("enable-prompt-tokens-details", false);
  api->enable_force_include_usage = flags.flag("enable-force-include-usage", false);
  api->limits.return_tokens_as_token_ids = flags.flag("return-tokens-as-token-ids", false);
  PAGODA_TRY(api->stream_interval, number_in(flags, "stream-interval", 1, 1, 1 << 24));
  if (flags.given("request-timeout")) {
    PAGODA_TRY(api->request_timeout_s, real_above(flags, "request-timeout", 0, 0, 1e9));
  }
  api->enable_per_request_metrics = flags.flag("enable-per-request-metrics", false);
  PAGODA_TRY(api->dev_mode, variable_truth("VLLM_SERVER_DEV_MODE", false));
  PAGODA_RETURN_IF_ERROR(read_request_limits(&api->limits));
  api->enable_docs = !flags.flag("disable-fastapi-docs", false);
  api->enable_tokenizer_info = flags.flag("enable-tokenizer-info-endpoint", false);
  PAGODA_TRY(api->stall_timeout_s, seconds_flag(flags, "engine-stall-timeout", 60));
  return read_client_weights(flags, &api->client_weights);
}

// What goes into a step, and what is kept of it.
Status read_steps(const FlagValues& flags, ModelOptions* model) {
  model->enable_chunked_prefill = flags.flag("enable-chunked-prefill", true);
  model->adaptive_chunks = flags.flag("adaptive-chunks", true);
  model->itl_slo_ms = flags.real("itl-slo-ms", 0);
  if (!(model->itl_slo_ms >= 0 && model->itl_slo_ms < 1e9))
    return invalid_argument("--itl-slo-ms must be a number of milliseconds, 0 for none", "itl-slo-ms");
  if (model->itl_slo_ms > 0 && !(model->adaptive_chunks && model->enable_chunked_prefill))
    return invalid_argument(
        "--itl-slo-ms sizes chunks of prompts: it needs --enable-chunked-prefill and --adaptive-chunks",
        "itl-slo-ms");
  model->watermark = flags.real("watermark", model->watermark);
  if (!(model->watermark >= 0 && model->watermark < 1))
    return invalid_argument("--watermark must be at least 0 and less than 1", "watermark");
  PAGODA_TRY(model->max_overtakes, number_in(flags, "max-overtakes", 64, 0, 1 << 20));
  model->enable_prefix_caching = flags.flag("enable-prefix-caching", true);
  model->prefix_caching_hash_algo = flags.text("prefix-caching-hash-algo", "sha256");
  return read_kv_offload(flags, model);
}

Status read_sizes(const FlagValues& flags, ModelOptions* model) {
  constexpr int64_t kMany = 1 << 24;
  if (flags.given("max-model-len")) {
    PAGODA_TRY(model->max_model_len, number_in(flags, "max-model-len", -1, -1, kMany));
    if (*model->max_model_len == 0)
      return invalid_argument("--max-model-len must be positive, -1 or auto", "max-model-len");
  }
  PAGODA_TRY(model->max_num_seqs, number_in(flags, "max-num-seqs", 128, 1, 65536));
  PAGODA_TRY(model->max_num_batched_tokens, number_in(flags, "max-num-batched-tokens", 256, 1, kMany));
  PAGODA_TRY(model->max_num_queued_reqs, number_in(flags, "max-num-queued-reqs", 4096, 1, kMany));
  if (flags.given("max-num-active-seqs")) {
    PAGODA_TRY(model->max_num_active_seqs,
               number_in(flags, "max-num-active-seqs", 0, 1, model->max_num_seqs));
  }
  if (flags.given("max-num-scheduled-tokens")) {
    PAGODA_TRY(model->max_num_scheduled_tokens,
               number_in(flags, "max-num-scheduled-tokens", 0, 1, model->max_num_batched_tokens));
    if (!flags.flag("enable-chunked-prefill", true))
      return invalid_argument(
          "--max-num-scheduled-tokens needs --enable-chunked-prefill: a prompt may have more tokens",
          "max-num-scheduled-tokens");
  }
  if (flags.given("max-num-queued-tokens")) {
    PAGODA_TRY(model->max_num_queued_tokens,
               number_in(flags, "max-num-queued-tokens", 0, 1, int64_t{1} << 40));
  }
  model->scheduling_policy = flags.text("scheduling-policy", "fcfs");
  PAGODA_TRY(model->long_prefill_token_threshold,
             number_in(flags, "long-prefill-token-threshold", 0, 0, kMany));
  model->long_prefill_token_threshold_adaptive = flags.flag("long-prefill-token-threshold-adaptive", false);
  PAGODA_RETURN_IF_ERROR(read_steps(flags, model));
  PAGODA_TRY(model->block_size, number_in(flags, "block-size", 16, 1, 1024));
  model->block_size_is_given = flags.given("block-size");
  if (flags.given("prefix-match-unit")) {
    PAGODA_TRY(model->prefix_match_unit, number_in(flags, "prefix-match-unit", 16, 1, kMany));
  }
  PAGODA_TRY(model->prefix_cache_retention_interval,
             number_in(flags, "prefix-cache-retention-interval", 0, 0, kMany));
  PAGODA_TRY(model->max_logprobs, number_in(flags, "max-logprobs", 20, -1, kMany));
  PAGODA_TRY(model->num_threads, number_in(flags, "threads", 0, 0, 1024));
  PAGODA_TRY(auto reserved, variable_int("VLLM_CPU_NUM_OF_RESERVED_CPU", 0, 1024));
  if (reserved && !flags.given("threads") && !flags.given("cpu-list"))
    model->num_threads = std::max<int64_t>(1, usable_cpu_count() - *reserved);
  PAGODA_TRY(auto step_timeout_s, variable_real("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", 1, 1e9));
  PAGODA_TRY(model->watchdog_timeout_s,
             seconds_flag(flags, "watchdog-timeout", step_timeout_s.value_or(300)));
  model->packed_cache = flags.text("packed-cache");
  model->cpu_tune = flags.text("cpu-tune", "auto");
  if (model->cpu_tune.empty())
    return invalid_argument("--cpu-tune takes auto, off, or the name of a file", "cpu-tune");
  model->cpu_list = flags.text("cpu-list", variable_text("VLLM_CPU_OMP_THREADS_BIND").value_or("auto"));
  PAGODA_TRY(model->num_text_threads, number_in(flags, "renderer-num-workers", 2, 1, 256));
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  if (flags.given("kv-cache-memory-bytes")) {
    PAGODA_TRY(model->kv_cache_memory_bytes, number_in(flags, "kv-cache-memory-bytes", 0, 1, kHuge));
  }
  PAGODA_TRY(auto space_gib, variable_int("VLLM_CPU_KVCACHE_SPACE", 0, 1 << 20));
  if (space_gib.value_or(0) > 0 && !flags.given("kv-cache-memory-bytes") &&
      !flags.given("gpu-memory-utilization"))
    model->kv_cache_memory_bytes = *space_gib << 30;
  if (flags.given("num-gpu-blocks-override")) {
    PAGODA_TRY(model->num_blocks_override, number_in(flags, "num-gpu-blocks-override", 0, 2, 1 << 30));
  }
  model->memory_utilization = flags.real("gpu-memory-utilization", 0.5);
  if (!(model->memory_utilization > 0 && model->memory_utilization <= 1))
    return invalid_argument("--gpu-memory-utilization must be above 0 and at most 1",
                            "gpu-memory-utilization");
  return {};
}

Result<std::string> read_kv_cache_dtype(const FlagValues& flags) {
  constexpr const char* kName = "kv-cache-dtype";
  const std::string name = flags.text(kName, "auto");
  if (name == "fp8_e5m2" || name == "fp8_ds_mla" || name == "fp8_inc")
    return invalid_argument(
        "--kv-cache-dtype " + name +
            ": the 8-bit floating point cache is fp8 (e4m3 with a scale per token and head)",
        kName);
  return one_of(flags, kName, "auto",
                {"auto", "float32", "float", "bfloat16", "float16", "half", "fp8", "fp8_e4m3",
                 "fp8_per_token_head", "int8", "int8_per_token_head"});
}

Status read_model(const ParsedCommand& command, ModelOptions* model) {
  const FlagValues& flags = command.flags;
  if (command.positional.size() > 1)
    return invalid_argument("one model at a time: unexpected '" + command.positional[1] + "'");
  model->model = command.positional.empty() ? flags.text("model") : command.positional[0];
  if (!command.positional.empty() && flags.given("model") && flags.text("model") != model->model)
    return invalid_argument("two models are given: '" + model->model + "' and --model '" +
                            flags.text("model") + "'");
  model->tokenizer = flags.text("tokenizer");
  model->served_names = flags.list("served-model-name");
  model->dtype = flags.text("dtype", "auto");
  PAGODA_TRY(model->kv_cache_dtype, read_kv_cache_dtype(flags));
  PAGODA_TRY(model->load_format, one_of(flags, "load-format", "auto", {"auto", "safetensors", "dummy"}));
  model->cpu_isa = flags.text("cpu-isa");
  model->quantization = flags.text("quantization");
  model->lm_head_quantization = flags.text("lm-head-quantization");
  model->hf_config = flags.text(
      "hf-config", flags.given("hf-config-path") ? flags.text("hf-config-path") + "/config.json" : "");
  PAGODA_TRY(model->hf_overrides, object_flag(flags, "hf-overrides"));
  model->seed = static_cast<uint64_t>(flags.number("seed", 0));
  model->chat_template = flags.text("chat-template");
  model->chat_template_content_format = flags.text("chat-template-content-format", "auto");
  model->trust_request_chat_template = flags.flag("trust-request-chat-template", false);
  PAGODA_TRY(model->default_template_kwargs, object_flag(flags, "default-chat-template-kwargs"));
  model->generation_config = flags.text("generation-config", "auto");
  PAGODA_TRY(model->override_generation_config, object_flag(flags, "override-generation-config"));
  model->response_role = flags.text("response-role", "assistant");
  PAGODA_TRY(model->kv_events, read_kv_events(flags));
  PAGODA_TRY(model->kv_cache_metrics_sample, read_block_lives(flags));
  PAGODA_TRY(model->histogram_bounds, read_histogram_bounds(flags));
  model->log_stats = !flags.flag("disable-log-stats", false);
  PAGODA_TRY(auto interval_s, variable_real("VLLM_LOG_STATS_INTERVAL", -1e9, 1e9));
  if (interval_s.value_or(0) > 0) model->stats_interval_s = std::max(*interval_s, 0.1);  // else the default
  PAGODA_TRY(model->accept_any_model_name, variable_switch("VLLM_SKIP_MODEL_NAME_VALIDATION", false));
  PAGODA_TRY(model->allow_long_max_model_len, variable_switch("VLLM_ALLOW_LONG_MAX_MODEL_LEN", false));
  return read_sizes(flags, model);
}

// For /server_info and /kv_event_sources; secrets are left out.
void describe_settings(const FlagValues& flags, ServeOptions* options) {
  ApiServerConfig& api = options->api;
  for (const auto& [name, value] : flags.all()) {
    if (name == "api-key" || name == "hf-token" || name == "client-weights") continue;
    std::string key = name;
    std::ranges::replace(key, '-', '_');
    api.settings.set(std::move(key), value);
  }
  for (const VariableSpec& spec : variable_table())
    if (spec.is_read && std::string_view(spec.name).find("KEY") == std::string_view::npos)
      if (auto value = variable_text(spec.name)) api.environment.set(spec.name, *value);
  const KvEventsConfig& events = options->model.kv_events;
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

Result<ServeOptions> serve_options(const ParsedCommand& command) {
  ServeOptions options;
  PAGODA_RETURN_IF_ERROR(read_http(command.flags, &options.http));
  PAGODA_RETURN_IF_ERROR(read_keys(command.flags, options.http.header_bytes_max, &options.api.api_keys));
  PAGODA_RETURN_IF_ERROR(read_api(command.flags, &options.api));
  PAGODA_RETURN_IF_ERROR(read_model(command, &options.model));
  describe_settings(command.flags, &options);
  PAGODA_TRY(options.log, read_log_flags(command.flags));
  PAGODA_TRY(int64_t timeout, number_in(command.flags, "shutdown-timeout", 30, 0, 86400));
  options.shutdown_timeout_s = static_cast<double>(timeout);
  // More choices than the queue holds would be refused for ever.
  options.api.limits.n_max =
      static_cast<int32_t>(std::min<int64_t>(options.api.limits.n_max, options.model.max_num_queued_reqs));
  options.quiet = options.log.level == LogLevel::kError;
  return options;
}

}  // namespace pagoda
