// Table: flags of `pagoda serve`: the HTTP server, the log, and what vLLM has no flag for.
#include "cli/flag_field.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

#define FIELD(path, ...) field([](ServeArgs & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)

constexpr const char* kFront = "Frontend";
constexpr const char* kLogging = "LoggingConfig";
constexpr const char* kOwn = "Pagoda";

constexpr FlagSpec kTable[] = {
    flag("host", kFront, FIELD(api.http.host), "Address to listen on.", {.default_text = "all interfaces"}),
    flag("port", kFront, FIELD(api.http.port, between(0, 65535)),
         "Port to listen on; 0 lets the system choose."),
    flag("uds", kFront, FIELD(api.http.uds), "Unix socket to listen on; overrides --host and --port."),
    {"uvicorn-log-level", "", kFront, kString, "info", "Log level.", kWorks,
     "critical, error, warning, info, debug, trace"},
    flag("disable-uvicorn-access-log", kFront, inverted(FIELD(api.http.access_log)),
         "No line per HTTP request."),
    {"disable-access-log-for-endpoints", "", kFront, kString, "",
     "Comma list of paths without access log lines."},
    flag("allow-credentials", kFront, FIELD(api.http.cors.allow_credentials), "CORS: allow credentials."),
    flag("allowed-origins", kFront, FIELD(api.http.cors.allowed_origins),
         "CORS: allowed origins, a JSON list; [\"*\"]: all.", {.default_text = "[]", .kind = kJson}),
    flag("allowed-methods", kFront, FIELD(api.http.cors.allowed_methods),
         "CORS: allowed methods, a JSON list.", {.default_text = "[\"*\"]", .kind = kJson}),
    flag("allowed-headers", kFront, FIELD(api.http.cors.allowed_headers),
         "CORS: allowed headers, a JSON list.", {.default_text = "[\"*\"]", .kind = kJson}),
    flag("api-key", kFront, FIELD(api.api_keys),
         "Keys of which one must be presented, but to /health, /ping, /version, /load, /metrics, /docs "
         "and /openapi.json (or VLLM_API_KEY).",
         {.default_text = ""}),
    flag("ssl-keyfile", kFront, FIELD(api.http.tls.keyfile), "TLS: private key, PEM."),
    flag("ssl-certfile", kFront, FIELD(api.http.tls.certfile),
         "TLS: certificate chain, PEM; turns HTTPS on."),
    flag("ssl-ca-certs", kFront, FIELD(api.http.tls.ca_certs),
         "TLS: CA certificates to check client certificates against."),
    flag("ssl-cert-reqs", kFront, FIELD(api.http.tls.cert_reqs, between(0, 2)),
         "TLS: client certificates 0 not asked, 1 optional, 2 required."),
    flag("ssl-ciphers", kFront, FIELD(api.http.tls.ciphers), "TLS: cipher list of TLS 1.2."),
    {"enable-ssl-refresh", "", kFront, kBool, "off", "Reload the certificate when its files change.", kLater},
    flag("root-path", kFront, FIELD(api.http.root_path),
         "Prefix of paths when behind a proxy that keeps it."),
    {"middleware", "", kFront, kString, "", "ASGI middleware import path.", kForeign},
    flag("enable-request-id-headers", kFront, FIELD(api.http.request_id_header),
         "Echo X-Request-Id, or make one."),
    flag("disable-fastapi-docs", kFront, inverted(FIELD(api.enable_docs)), "No /docs and no /openapi.json."),
    {"enable-offline-docs", "", kFront, kBool, "off", "/docs loads nothing from elsewhere in any case.",
     kForeign},
    flag("h11-max-incomplete-event-size", kFront, FIELD(api.http.header_bytes_max, between(1024, 16 << 20)),
         "Most bytes of a request's headers."),
    flag("h11-max-header-count", kFront, FIELD(api.http.header_count_max, between(1, 65536)),
         "Most headers of a request."),
    flag("chat-template", kFront, FIELD(engine.frontend.chat_template),
         "Chat template: a file, or the template itself in one line."),
    flag("chat-template-content-format", kFront, FIELD(engine.frontend.chat_template_content_format),
         "Message content for the template.", {.choices = "auto, string, openai"}),
    flag("trust-request-chat-template", kFront, FIELD(engine.frontend.trust_request_chat_template),
         "Let requests bring their own chat_template."),
    flag("default-chat-template-kwargs", kFront, FIELD(engine.frontend.default_template_kwargs),
         "Template variables for every chat; a request's own win.", {.default_text = "{}"}),
    flag("response-role", kFront, FIELD(engine.frontend.response_role), "Role name in chat answers."),
    flag("return-tokens-as-token-ids", kFront, FIELD(api.limits.return_tokens_as_token_ids),
         "Tokens print as token_id:N in log-probabilities."),
    {"enable-auto-tool-choice", "", kFront, kBool, "off", "Parse tool calls of tool_choice auto.", kLater},
    {"tool-call-parser", "", kFront, kString, "", "Dialect of the model's tool calls.", kLater},
    {"tool-parser-plugin", "", kFront, kString, "", "Python plugin.", kForeign},
    flag("exclude-tools-when-tool-choice-none", kFront, FIELD(api.limits.exclude_tools_when_tool_choice_none),
         "Hide tools under tool_choice none."),
    {"tool-server", "", kFront, kString, "", "MCP servers.", kLater},
    {"max-log-len", "", kFront, kInt, "unlimited", "Characters of a prompt per log line."},
    flag("enable-log-requests", kFront, FIELD(api.enable_log_requests), "Log every request."),
    {"disable-log-requests", "", kFront, kBool, "on",
     "Requests are not logged unless --enable-log-requests asks.", kForeign},
    flag("enable-log-outputs", kFront, FIELD(api.enable_log_outputs),
         "Log every answer; needs --enable-log-requests."),
    {"enable-log-deltas", "", kFront, kBool, "on", "Log stream pieces as well.", kLater},
    {"log-error-stack", "", kFront, kBool, "off", "Python stacks in the log.", kForeign},
    flag("enable-prompt-tokens-details", kFront, FIELD(api.enable_prompt_tokens_details),
         "usage.prompt_tokens_details in answers."),
    flag("enable-per-request-metrics", kFront, FIELD(api.enable_per_request_metrics),
         "`metrics` in answers of one choice: time_to_first_token_ms, generation_time_ms, queue_time_ms, "
         "mean_itl_ms, tokens_per_second."),
    {"enable-server-load-tracking", "", kFront, kBool, "on", "GET /load counts in any case."},
    flag("enable-force-include-usage", kFront, FIELD(api.limits.force_include_usage),
         "Usage on every stream."),
    flag("enable-tokenizer-info-endpoint", kFront, FIELD(api.enable_tokenizer_info), "GET /tokenizer_info."),
    {"tokens-only", "", kFront, kBool, "off", "Token-id server for disaggregation.", kLater},
    {"fingerprint-mode", "", kFront, kString, "full", "What system_fingerprint tells.", kLater,
     "custom, full, hash, none"},
    {"fingerprint-value", "", kFront, kString, "", "The custom fingerprint.", kLater},
    {"headless", "", kFront, kBool, "off", "Engine without API server.", kLater},
    flag("api-server-count", kFront, FIELD(api.http.num_threads, between(1, 64)),
         "I/O threads of the HTTP server.", {.short_name = "asc"}),
    flag("disable-log-stats", kFront, inverted(FIELD(engine.config.log_stats)), "No statistics line."),
    {"aggregate-engine-logging", "", kFront, kBool, "off", "One line for all engines.", kForeign},
    flag("shutdown-timeout", kFront, FIELD(shutdown_timeout_s, between(0, 86400)),
         "Seconds that running requests get to end after SIGINT or SIGTERM.", {.kind = kInt}),
    {"grpc", "", kFront, kBool, "off", "Serve gRPC instead of HTTP.", kLater},
    {"trust-request-mm-kwargs", "", kFront, kBool, "off", "Let requests bring their own mm_processor_kwargs.",
     kLater},
    {"tool-strict-level", "", kFront, kString, "auto", "How strictly tool calls are held to their schema.",
     kLater, "auto, function, parameter"},
    flag("sse-keep-alive-interval", kFront, FIELD(api.http.sse_keep_alive_s, between(0, 1 << 24)),
         "Seconds between comments on a stream that has nothing else to send; 0: none.", {.kind = kInt}),
    {"cohere-is-reasoning-model", "", kFront, kBool, "on", "Cohere's API: the model reasons.", kLater},
    {"cohere-format", "", kFront, kString, "cmd4", "Cohere's API: format of answers.", kLater},
    {"anthropic-disabled-thinking-effort", "", kFront, kString, "auto",
     "Anthropic's API: effort where thinking is disabled.", kLater,
     "auto, high, low, max, medium, none, xhigh"},
    {"enable-scale-out", "", kFront, kBool, "off", "Endpoints for scaling out.", kLater},
    {"grpc-port", "", kFront, kInt, "", "Port of gRPC.", kLater},
    {"data-parallel-supervisor-port", "", kFront, kInt, "9256", "Port of the replicas' supervisor.", kLater},
    {"dp-supervisor-probe-interval-s", "", kFront, kFloat, "5", "Seconds between its probes.", kLater},
    {"dp-supervisor-probe-timeout-s", "", kFront, kFloat, "5", "Seconds that a probe may take.", kLater},
    {"dp-supervisor-probe-failure-threshold", "", kFront, kInt, "3", "Failed probes that it bears.", kLater},
    {"enable-flash-late-interaction", "", kFront, kBool, "on", "Late interaction of pooling models.", kLater},
    {"gdn-prefill-backend", "", kFront, kString, "", "Prefill kernels of gated delta networks.", kForeign,
     "flashinfer, triton, cutedsl, aiter_flydsl"},
    {"kda-prefill-backend", "", kFront, kString, "", "Prefill kernels of Kimi delta attention.", kForeign,
     "auto, triton, flashkda, flashinfer, fused"},
    {"kda-decode-backend", "", kFront, kString, "", "Decode kernels of Kimi delta attention.", kForeign,
     "auto, native, flashinfer, triton"},

    {"log-config-file", "", kLogging, kString, "", "Python logging configuration.", kForeign},
    {"logging-config", "", kLogging, kJson, "",
     "Logging as one object: log_level, formatter (text or json)."},
    {"log-level", "", kLogging, kString, "INFO", "Level of the log; also VLLM_LOGGING_LEVEL.", kWorks,
     "CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET"},

    {"config", "", kOwn, kString, "", "YAML file with flags by name; the command line wins."},
    {"client-weights", "", kOwn, kJson, "{}",
     "Shares under --scheduling-policy fair, {\"client\": 2}: by API key if there are several, else by "
     "`user`."},
    flag("max-connections", kOwn, FIELD(api.http.connections_max, between(1, 1 << 20)),
         "Connections at a time, as far as the limit of open files allows; then one that waits for its "
         "client is "
         "closed for a newcomer, and while none waits newcomers are answered 503, but for /health and the "
         "like."),
    flag("max-body-memory", kOwn, in_units_of(1 << 20, FIELD(api.http.body_memory_max, between(1, 1 << 20))),
         "MiB that the bodies of all requests, and the values in them, may take at a time, but for the first "
         "64 "
         "KiB of each; then 503. One that alone would take more is answered 413."),
    flag("request-timeout", kOwn, FIELD(api.request_timeout_s, above(0, 1e9)),
         "Seconds that any request may take; one may ask for less with `timeout`.", {.default_text = "none"}),
    flag("engine-stall-timeout", kOwn, FIELD(api.stall_timeout_s, zero_or_at_most(1e9)),
         "/health is 503 when there has been work and no step for so many seconds; 0: never."),
    flag("watchdog-timeout", kOwn, FIELD(engine.config.watchdog_timeout_s, zero_or_at_most(1e9)),
         "The process ends with an error, and says what it was at, after so many such seconds; 0: never."),
    flag("threads", kOwn, FIELD(engine.cpu.num_threads, between(0, 1024)),
         "Compute threads (affinity and cgroup quota respected).", {.default_text = "physical cores"}),
    flag("adaptive-chunks", kOwn, FIELD(engine.config.scheduler.adaptive_chunks),
         "Size the chunks of prompts by measured step times: decodes slow down to about half while few "
         "prompts are read; off: up to --max-num-batched-tokens in every step."),
    flag("itl-slo-ms", kOwn, FIELD(engine.config.scheduler.itl_slo_ms),
         "Keep the time between a stream's tokens under so many milliseconds; prompts get what is left."),
    flag("max-overtakes", kOwn, FIELD(engine.config.scheduler.max_overtakes, between(0, 1 << 20)),
         "How many may bypass a waiting request that does not fit, before none may."),
    flag("packed-cache", kOwn, FIELD(engine.model.packed_cache),
         "Folder that keeps the weights as the kernels want them, for the next start."),
    flag("cpu-list", kOwn, FIELD(engine.cpu.list),
         "CPUs of the compute threads, as in 0-3,8; auto: bound if they take every core; nobind (or "
         "VLLM_CPU_OMP_THREADS_BIND).",
         {.default_text = "auto"}),
    flag(
        "cpu-tune", kOwn, FIELD(engine.cpu.tune),
        "How the kernels are tuned for this CPU: auto (measured at the first start, then read from the cache "
        "folder); off; or a file to read, or to write if it is not there."),
    flag("cpu-isa", kOwn, FIELD(engine.cpu.isa), "Instruction set of the kernels.",
         {.default_text = "the best there is", .choices = "scalar, avx2, avx512, avx512_bf16"}),
    flag("lm-head-quantization", kOwn, FIELD(engine.model.lm_head_quantization),
         "The same for the embedding and the head: none, int8, int4, ...",
         {.default_text = "int8 with --quantization"}),
};

}  // namespace

std::span<const FlagSpec> frontend_flag_table() {
  return kTable;
}

}  // namespace pagoda
