// Table: the flags of `pagoda bench serve`, and what they mean.
#include "cli/bench_serve_flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/env.h"
#include "cli/bench_flags.h"
#include "cli/flag_checks.h"
#include "cli/flag_field.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

#define FIELD(path, ...) \
  field([](BenchServeOptions & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)

constexpr const char* kServer = "Server";
constexpr const char* kLoad = "Load";
constexpr const char* kSampling = "Sampling";
constexpr const char* kReport = "Report";

constexpr FlagSpec kServeFlags[] = {
    flag("backend", kServer, FIELD(backend), "openai or vllm (completions), openai-chat or vllm-chat."),
    {"base-url", "", kServer, kString, "",
     "http://host:port, https://host, unix:/socket; overrides --host and --port."},
    {"host", "", kServer, kString, "127.0.0.1", "The server's host."},
    {"port", "", kServer, kInt, "8000", "The server's port."},
    {"endpoint", "", kServer, kString, "by --backend", "/v1/completions or /v1/chat/completions."},
    flag("model", kServer, FIELD(model), "Model to ask for; its folder has the tokenizer.",
         {.default_text = "the server's first"}),
    flag("served-model-name", kServer, FIELD(served_model_name), "The model's name in requests.",
         {.default_text = "--model"}),
    flag("tokenizer", kServer, FIELD(tokenizer), "Folder or tokenizer.json that prompts are made with.",
         {.default_text = "the model's"}),
    flag("skip-tokenizer-init", kServer, FIELD(skip_tokenizer),
         "Use none: prompts are random words, or ids."),
    {"header", "", kServer, kList, "", "KEY=VALUE headers of every request (the key: OPENAI_API_KEY)."},
    flag("ready-check-timeout-sec", kServer, FIELD(ready_check_timeout_s, between(0, 86400)),
         "Seconds to wait for a first good answer; 0: none."),
    {"insecure", "", kServer, kBool, "off", "Do not check the server's certificate.", kLater},
    {"tokenizer-mode", "", kServer, kString, "auto", "slow, mistral.", kForeign},
    {"trust-remote-code", "", kServer, kBool, "off", "Python code of the tokenizer; none is run.", kForeign},

    {"request-rate", "", kLoad, kString, "inf", "Requests per second; inf: all at once."},
    {"burstiness", "", kLoad, kString, "1.0",
     "Shape of the gamma distribution of gaps: 1 Poisson, below burstier, above more even."},
    flag("max-concurrency", kLoad, FIELD(load.max_concurrency, between(1, 1 << 20)),
         "Most requests under way at once.", {.default_text = "none"}),
    {"ramp-up-strategy", "", kLoad, kString, "", "linear or exponential, instead of --request-rate."},
    flag("ramp-up-start-rps", kLoad, FIELD(arrivals.ramp_up_start_rps, above(0, 1e6)),
         "Rate at the first request.", {.default_text = ""}),
    flag("ramp-up-end-rps", kLoad, FIELD(arrivals.ramp_up_end_rps, above(0, 1e6)),
         "Rate at the last request.", {.default_text = ""}),
    flag("num-warmups", kLoad, FIELD(num_warmups, between(0, 1 << 20)), "Requests before the measurement."),
    {"seed", "", kLoad, kInt, "0", "Seed of prompts and arrivals."},
    flag("self-timed", kLoad, FIELD(self_timed), "Send at the trace's times.",
         {.default_text = "on for timed_trace"}),
    flag("random-as-ids", kLoad, FIELD(random_as_ids),
         "Send synthetic prompts as token ids instead of text."),
    flag("random-vocab-size", kLoad, FIELD(random_vocab_size, between(1, 1 << 30)),
         "Ids to choose from with --random-as-ids.", {.default_text = "the tokenizer's"}),
    flag("request-id-prefix", kLoad, FIELD(load.request_id_prefix), "Beginning of X-Request-Id.",
         {.default_text = "none"}),
    {"probe-request-rate", "", kLoad, kFloat, "0", "Probes beside the load.", kLater},
    {"lora-modules", "", kLoad, kList, "", "Adapters to ask for.", kLater},
    {"lora-assignment", "", kLoad, kString, "random", "How adapters are assigned.", kLater},
    {"profile", "", kLoad, kBool, "off", "Profile the server.", kLater},
    {"chat-template-kwargs", "", kLoad, kJson, "", "Use --extra-body {\"chat_template_kwargs\": ...}.",
     kLater},

    flag("ignore-eos", kSampling, FIELD(load.style.ignore_eos), "Generate the whole output length.",
         {.default_text = "on for random, timed_trace"}),
    {"temperature", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    {"top-p", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    {"top-k", "", kSampling, kInt, "the server's", "Sampling parameter."},
    {"min-p", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    {"frequency-penalty", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    {"presence-penalty", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    {"repetition-penalty", "", kSampling, kFloat, "the server's", "Sampling parameter."},
    flag("logprobs", kSampling, FIELD(load.style.logprobs, between(0, 1 << 20)),
         "Log-probabilities for each token.", {.default_text = "none"}),
    {"extra-body", "", kSampling, kJson, "{}", "JSON merged into every request."},
    {"use-beam-search", "", kSampling, kBool, "off", "Beam search.", kLater},

    {"percentile-metrics", "", kReport, kString, "ttft,tpot,itl",
     "Sections to print: also e2el, client_queue_time, e2el_including_client_queue."},
    {"metric-percentiles", "", kReport, kString, "99", "Percentiles, as in 50,90,99.9."},
    {"goodput", "", kReport, kList, "",
     "Service levels in ms that make a request good: ttft:X tpot:X e2el:X."},
    flag("disable-tqdm", kReport, inverted(FIELD(progress)), "No progress line."),
    flag("save-result", kReport, FIELD(save_result), "Write a result file."),
    flag("save-detailed", kReport, FIELD(save_detailed), "With the times and texts of every request."),
    flag("append-result", kReport, FIELD(append_result), "Append to the file, one JSON object a line."),
    flag("result-dir", kReport, FIELD(result_dir), "Folder of the file."),
    flag("result-filename", kReport, FIELD(result_filename), "Name of the file.",
         {.default_text = "made of the settings"}),
    flag("label", kReport, FIELD(label), "Beginning of the file's name.", {.default_text = "--backend"}),
    {"metadata", "", kReport, kList, "", "KEY=VALUE pairs for the file."},
    {"plot-timeline", "", kReport, kBool, "off", "Plot in HTML.", kForeign},
    {"timeline-itl-thresholds", "", kReport, kString, "25,50", "Colours of the plot.", kForeign},
    {"plot-dataset-stats", "", kReport, kBool, "off", "Plot of the lengths.", kForeign},
};

Status wrong(const char* flag, const std::string& text, const std::string& meant) {
  return invalid_argument("flag --" + std::string(flag) + " must be " + meant + ", not '" + text + "'", flag);
}

// A positive number, or inf.
Result<double> positive_or_inf(const FlagValues& flags, const char* name, double otherwise) {
  if (!flags.given(name)) return otherwise;
  std::string text = flags.text(name);
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number > 0) return number;
  return wrong(name, text, "a positive number or inf");
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    std::size_t comma = text.find(',', begin);
    std::string part = text.substr(begin, comma == std::string::npos ? comma : comma - begin);
    std::size_t first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
    parts.push_back(first == std::string::npos ? "" : part.substr(first, last - first + 1));
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

Result<std::pair<std::string, std::string>> key_value(const char* flag, const std::string& text, char sign) {
  std::size_t at = text.find(sign);
  if (at == std::string::npos || at == 0) return wrong(flag, text, std::string("KEY") + sign + "VALUE");
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

Status read_server(const FlagValues& flags, BenchServeOptions* options) {
  PAGODA_RETURN_IF_ERROR(
      one_of(flags, "backend", options->backend, {"openai", "vllm", "openai-chat", "vllm-chat"}).status());
  bool chat = options->backend.ends_with("-chat");
  options->load.style.chat = chat;
  options->load.endpoint = flags.text("endpoint", chat ? "/v1/chat/completions" : "/v1/completions");
  if (!options->load.endpoint.starts_with('/'))
    return wrong("endpoint", options->load.endpoint, "a path: /...");
  if (chat != options->load.endpoint.ends_with("/chat/completions"))
    return invalid_argument("--backend " + options->backend + " and --endpoint " + options->load.endpoint +
                                " do not go together: openai-chat speaks to .../chat/completions",
                            "endpoint");
  PAGODA_TRY(int64_t port, number_in(flags, "port", 8000, 1, 65535));
  std::string host = flags.text("host", "127.0.0.1");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";  // an IPv6 address
  options->load.base_url = flags.text("base-url", "http://" + host + ":" + std::to_string(port));
  std::string* base = &options->load.base_url;
  base->erase(base->find_last_not_of('/') + 1);
  if (base->ends_with("/v1") && options->load.endpoint.starts_with("/v1/")) base->resize(base->size() - 3);
  for (const std::string& item : flags.list("header")) {
    PAGODA_TRY(auto header, key_value("header", item, '='));
    options->load.headers.push_back(std::move(header));
  }
  auto key = environment("OPENAI_API_KEY");
  if (key && !key->empty()) options->load.headers.emplace_back("Authorization", "Bearer " + *key);
  return {};
}

Status read_ramp_up(const FlagValues& flags, ArrivalOptions* arrivals) {
  if (!flags.given("ramp-up-strategy")) return {};
  PAGODA_TRY(std::string strategy, one_of(flags, "ramp-up-strategy", "", {"linear", "exponential"}));
  if (flags.given("request-rate"))
    return invalid_argument("--ramp-up-strategy sets the rate: leave --request-rate out", "request-rate");
  for (const char* name : {"ramp-up-start-rps", "ramp-up-end-rps"})
    if (!flags.given(name)) return invalid_argument("--ramp-up-strategy needs --" + std::string(name), name);
  if (arrivals->ramp_up_start_rps > arrivals->ramp_up_end_rps)
    return invalid_argument("--ramp-up-start-rps must not be above --ramp-up-end-rps", "ramp-up-start-rps");
  arrivals->ramp_up = strategy == "linear" ? RampUp::kLinear : RampUp::kExponential;
  return {};
}

Status read_load(const FlagValues& flags, BenchServeOptions* options) {
  PAGODA_TRY(options->arrivals.request_rate,
             positive_or_inf(flags, "request-rate", std::numeric_limits<double>::infinity()));
  PAGODA_TRY(options->arrivals.burstiness, positive_or_inf(flags, "burstiness", 1));
  PAGODA_RETURN_IF_ERROR(read_ramp_up(flags, &options->arrivals));
  bool is_trace = options->dataset.name == "timed_trace";
  if (flags.given("self-timed") && !is_trace)
    return invalid_argument("--self-timed is for --dataset-name timed_trace", "self-timed");
  if (!flags.given("self-timed")) options->self_timed = is_trace;
  if (options->self_timed && (flags.given("request-rate") || flags.given("ramp-up-strategy")))
    return invalid_argument("a trace has its own times: give --no-self-timed with --request-rate",
                            "request-rate");
  if (options->random_as_ids && options->load.style.chat)
    return invalid_argument("--random-as-ids is for completions: a chat has messages", "random-as-ids");
  return {};
}

Status read_sampling(const FlagValues& flags, BenchServeOptions* options) {
  RequestStyle& style = options->load.style;
  bool synthetic = options->dataset.name == "random" || options->dataset.name == "timed_trace";
  if (!flags.given("ignore-eos")) style.ignore_eos = synthetic;
  struct Parameter {
    const char *flag, *field;
  };
  constexpr Parameter kParameters[] = {{"temperature", "temperature"},
                                       {"top-p", "top_p"},
                                       {"top-k", "top_k"},
                                       {"min-p", "min_p"},
                                       {"frequency-penalty", "frequency_penalty"},
                                       {"presence-penalty", "presence_penalty"},
                                       {"repetition-penalty", "repetition_penalty"}};
  for (const Parameter& parameter : kParameters)
    if (flags.given(parameter.flag)) style.extra_body.set(parameter.field, flags.json(parameter.flag));
  PAGODA_TRY(Value extra, object_flag(flags, "extra-body"));
  if (extra.is_object())
    for (const Member& member : extra.as_object()) style.extra_body.set(member.key, member.value);
  return {};
}

Status read_goodput(const FlagValues& flags, Goodput* goodput) {
  for (const std::string& item : flags.list("goodput")) {
    PAGODA_TRY(auto level, key_value("goodput", item, ':'));
    double ms = -1;
    const std::string& text = level.second;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
    if (error != std::errc() || end != text.data() + text.size() || !(ms >= 0))
      return wrong("goodput", item, "NAME:MILLISECONDS");
    if (level.first == "ttft")
      goodput->ttft_ms = ms;
    else if (level.first == "tpot")
      goodput->tpot_ms = ms;
    else if (level.first == "e2el")
      goodput->e2el_ms = ms;
    else
      return wrong("goodput", item, "made of ttft, tpot and e2el");
  }
  return {};
}

Status read_report(const FlagValues& flags, BenchServeOptions* options) {
  options->percentile_metrics = split(flags.text("percentile-metrics", "ttft,tpot,itl"));
  for (const std::string& name : options->percentile_metrics)
    if (name != "ttft" && name != "tpot" && name != "itl" && name != "e2el" && name != "client_queue_time" &&
        name != "e2el_including_client_queue")
      return wrong("percentile-metrics", name, "a list of ttft, tpot, itl, e2el, client_queue_time");
  options->metrics.percentiles.clear();
  for (const std::string& text : split(flags.text("metric-percentiles", "99"))) {
    double percent = -1;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
    if (error != std::errc() || end != text.data() + text.size() || !(percent >= 0 && percent <= 100))
      return wrong("metric-percentiles", text, "a list of numbers from 0 to 100");
    options->metrics.percentiles.push_back(percent);
  }
  PAGODA_RETURN_IF_ERROR(read_goodput(flags, &options->metrics.goodput));
  options->metrics.with_client_queue = options->load.max_concurrency > 0;
  options->save_result |= options->append_result;
  options->load.keep_text = options->save_result && options->save_detailed;
  for (const std::string& item : flags.list("metadata")) {
    PAGODA_TRY(auto pair, key_value("metadata", item, '='));
    options->metadata.push_back(std::move(pair));
  }
  return {};
}

}  // namespace

std::vector<FlagSpec> bench_serve_flag_table() {
  std::vector<FlagSpec> table(std::begin(kServeFlags), std::end(kServeFlags));
  std::span<const FlagSpec> dataset = dataset_flag_table();
  table.insert(table.end(), dataset.begin(), dataset.end());
  return table;
}

Result<BenchServeOptions> bench_serve_options(const ParsedCommand& command) {
  BenchServeOptions options;
  if (!command.positional.empty())
    return invalid_argument("unexpected argument '" + command.positional.front() + "'");
  PAGODA_TRY(options.dataset, dataset_options(command.flags));
  PAGODA_RETURN_IF_ERROR(assign_fields(kServeFlags, command.flags, &options));
  PAGODA_RETURN_IF_ERROR(read_server(command.flags, &options));
  PAGODA_RETURN_IF_ERROR(read_load(command.flags, &options));
  PAGODA_RETURN_IF_ERROR(read_sampling(command.flags, &options));
  PAGODA_RETURN_IF_ERROR(read_report(command.flags, &options));
  return options;
}

}  // namespace pagoda
