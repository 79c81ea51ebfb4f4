// Table: flags of `pagoda serve`: the HTTP server, the log, and what vLLM has no flag for.
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

constexpr const char* kFront = "Frontend";
constexpr const char* kLogging = "LoggingConfig";
constexpr const char* kOwn = "Pagoda";

constexpr FlagSpec kTable[] = {
    {"host", "", kFront, kString, "all interfaces", "Address to listen on."},
    {"port", "", kFront, kInt, "8000", "Port to listen on; 0 lets the system choose."},
    {"uds", "", kFront, kString, "", "Unix socket to listen on; overrides --host and --port."},
    {"uvicorn-log-level", "", kFront, kString, "info", "Log level.", kWorks,
     "critical, error, warning, info, debug, trace"},
    {"disable-uvicorn-access-log", "", kFront, kBool, "off", "No line per HTTP request."},
    {"disable-access-log-for-endpoints", "", kFront, kString, "",
     "Comma list of paths without access log lines."},
    {"allow-credentials", "", kFront, kBool, "off", "CORS: allow credentials."},
    {"allowed-origins", "", kFront, kJson, "[]", "CORS: allowed origins, a JSON list; [\"*\"]: all."},
    {"allowed-methods", "", kFront, kJson, "[\"*\"]", "CORS: allowed methods, a JSON list."},
    {"allowed-headers", "", kFront, kJson, "[\"*\"]", "CORS: allowed headers, a JSON list."},
    {"api-key", "", kFront, kList, "",
     "Keys of which one must be presented, but to /health, /ping, /version, /load, /metrics, /docs "
     "and /openapi.json (or VLLM_API_KEY)."},
    {"ssl-keyfile", "", kFront, kString, "", "TLS: private key, PEM."},
    {"ssl-certfile", "", kFront, kString, "", "TLS: certificate chain, PEM; turns HTTPS on."},
    {"ssl-ca-certs", "", kFront, kString, "", "TLS: CA certificates to judge client certificates by."},
    {"ssl-cert-reqs", "", kFront, kInt, "0", "TLS: client certificates 0 not asked, 1 optional, 2 required."},
    {"ssl-ciphers", "", kFront, kString, "", "TLS: cipher list of TLS 1.2."},
    {"enable-ssl-refresh", "", kFront, kBool, "off", "Reload the certificate when its files change.", kLater},
    {"root-path", "", kFront, kString, "", "Prefix of paths when behind a proxy that keeps it."},
    {"middleware", "", kFront, kString, "", "ASGI middleware import path.", kForeign},
    {"enable-request-id-headers", "", kFront, kBool, "off", "Echo X-Request-Id, or make one."},
    {"disable-fastapi-docs", "", kFront, kBool, "off", "No /docs and no /openapi.json."},
    {"enable-offline-docs", "", kFront, kBool, "off", "/docs loads nothing from elsewhere in any case.",
     kForeign},
    {"h11-max-incomplete-event-size", "", kFront, kInt, "65536", "Most bytes of a request's headers."},
    {"h11-max-header-count", "", kFront, kInt, "256", "Most headers of a request."},
    {"chat-template", "", kFront, kString, "", "Chat template: a file, or the template itself in one line."},
    {"chat-template-content-format", "", kFront, kString, "auto", "Message content for the template.", kWorks,
     "auto, string, openai"},
    {"trust-request-chat-template", "", kFront, kBool, "off", "Let requests bring their own chat_template."},
    {"default-chat-template-kwargs", "", kFront, kJson, "{}",
     "Template variables for every chat; a request's own win."},
    {"response-role", "", kFront, kString, "assistant", "Role name in chat answers."},
    {"return-tokens-as-token-ids", "", kFront, kBool, "off",
     "Tokens print as token_id:N in log-probabilities."},
    {"enable-auto-tool-choice", "", kFront, kBool, "off", "Parse tool calls of tool_choice auto.", kLater},
    {"tool-call-parser", "", kFront, kString, "", "Dialect of the model's tool calls.", kLater},
    {"tool-parser-plugin", "", kFront, kString, "", "Python plugin.", kForeign},
    {"exclude-tools-when-tool-choice-none", "", kFront, kBool, "off", "Hide tools under tool_choice none."},
    {"tool-server", "", kFront, kString, "", "MCP servers.", kLater},
    {"max-log-len", "", kFront, kInt, "unlimited", "Characters of a prompt per log line."},
    {"enable-log-requests", "", kFront, kBool, "off", "Log every request."},
    {"disable-log-requests", "", kFront, kBool, "on",
     "Requests are not logged unless --enable-log-requests asks.", kForeign},
    {"enable-log-outputs", "", kFront, kBool, "off", "Log every answer; needs --enable-log-requests."},
    {"enable-log-deltas", "", kFront, kBool, "on", "Log stream pieces as well.", kLater},
    {"log-error-stack", "", kFront, kBool, "off", "Python stacks in the log.", kForeign},
    {"enable-prompt-tokens-details", "", kFront, kBool, "off", "usage.prompt_tokens_details in answers."},
    {"enable-per-request-metrics", "", kFront, kBool, "off",
     "`metrics` in answers of one choice: time_to_first_token_ms, generation_time_ms, queue_time_ms, "
     "mean_itl_ms, tokens_per_second."},
    {"enable-server-load-tracking", "", kFront, kBool, "on", "GET /load counts in any case."},
    {"enable-force-include-usage", "", kFront, kBool, "off", "Usage on every stream."},
    {"enable-tokenizer-info-endpoint", "", kFront, kBool, "off", "GET /tokenizer_info."},
    {"tokens-only", "", kFront, kBool, "off", "Token-id server for disaggregation.", kLater},
    {"fingerprint-mode", "", kFront, kString, "full", "What system_fingerprint tells.", kLater,
     "custom, full, hash, none"},
    {"fingerprint-value", "", kFront, kString, "", "The custom fingerprint.", kLater},
    {"headless", "", kFront, kBool, "off", "Engine without API server.", kLater},
    {"api-server-count", "asc", kFront, kInt, "1", "I/O threads of the HTTP server."},
    {"disable-log-stats", "", kFront, kBool, "off", "No statistics line."},
    {"aggregate-engine-logging", "", kFront, kBool, "off", "One line for all engines.", kForeign},
    {"shutdown-timeout", "", kFront, kInt, "30",
     "Seconds that running requests get to end after SIGINT or SIGTERM."},
    {"grpc", "", kFront, kBool, "off", "Serve gRPC instead of HTTP.", kLater},
    {"trust-request-mm-kwargs", "", kFront, kBool, "off", "Let requests bring their own mm_processor_kwargs.",
     kLater},
    {"tool-strict-level", "", kFront, kString, "auto", "How strictly tool calls are held to their schema.",
     kLater, "auto, function, parameter"},
    {"sse-keep-alive-interval", "", kFront, kInt, "0",
     "Seconds between comments on a stream that has nothing else to send; 0: none."},
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
    {"max-connections", "", kOwn, kInt, "4096",
     "Connections at a time, as far as the limit of open files allows; then one that waits for its client is "
     "closed for a newcomer, and while none waits newcomers are answered 503, but for /health and the like."},
    {"max-body-memory", "", kOwn, kInt, "256",
     "MiB that the bodies of all requests, and the values in them, may take at a time, but for the first 64 "
     "KiB of each; then 503. One that alone would take more is answered 413."},
    {"request-timeout", "", kOwn, kFloat, "none",
     "Seconds that any request may take; one may ask for less with `timeout`."},
    {"engine-stall-timeout", "", kOwn, kFloat, "60",
     "/health is 503 when there has been work and no step for so many seconds; 0: never."},
    {"watchdog-timeout", "", kOwn, kFloat, "300",
     "The process ends with an error, and says what it was at, after so many such seconds; 0: never."},
    {"threads", "", kOwn, kInt, "physical cores", "Compute threads (affinity and cgroup quota respected)."},
    {"adaptive-chunks", "", kOwn, kBool, "on",
     "Size the chunks of prompts by measured step times: who decodes slows down to about half while few "
     "prompts are read; off: up to --max-num-batched-tokens in every step."},
    {"itl-slo-ms", "", kOwn, kFloat, "0",
     "Keep the time between a stream's tokens under so many milliseconds; prompts get what is left."},
    {"max-overtakes", "", kOwn, kInt, "64",
     "How many may pass a waiting request that does not fit, before nobody may."},
    {"packed-cache", "", kOwn, kString, "",
     "Folder that keeps the weights as the kernels want them, for the next start."},
    {"cpu-list", "", kOwn, kString, "auto",
     "CPUs of the compute threads, as in 0-3,8; auto: bound if they take every core; nobind (or "
     "VLLM_CPU_OMP_THREADS_BIND)."},
    {"cpu-tune", "", kOwn, kString, "auto",
     "How the kernels are tuned for this CPU: auto (measured at the first start, then read from the cache "
     "folder); off; or a file to read, or to write if it is not there."},
    {"cpu-isa", "", kOwn, kString, "the best there is", "Instruction set of the kernels.", kWorks,
     "scalar, avx2, avx512, avx512_bf16"},
    {"lm-head-quantization", "", kOwn, kString, "int8 with --quantization",
     "The same for the embedding and the head: none, int8, int4, ..."},
};

}  // namespace

std::span<const FlagSpec> frontend_flag_table() {
  return kTable;
}

}  // namespace pagoda
