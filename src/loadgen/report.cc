#include "loadgen/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "base/log.h"

namespace pagoda {
namespace {

struct Section {
  const char *name, *label, *title;
};
constexpr Section kSections[] = {
    {"ttft", "TTFT", "Time to First Token"},
    {"tpot", "TPOT", "Time per Output Token (excl. 1st token)"},
    {"itl", "ITL", "Inter-token Latency"},
    {"e2el", "E2EL", "End-to-end Latency"},
    {"client_queue_time", "Client Queue Time", "Client-side Queueing"},
    {"e2el_including_client_queue", "E2EL incl. Client Queue", "Queue-inclusive End-to-end Latency"},
};

std::string row(const std::string& label, double value) {
  return fmt::format("{:<40} {:<10.2f}\n", label, value);
}
std::string row(const std::string& label, int64_t value) {
  return fmt::format("{:<40} {:<10}\n", label, value);
}

std::string definitions(const ServeMetrics& metrics) {
  std::string counted = metrics.num_with_usage == metrics.completed ? "the server's usage"
                        : metrics.num_with_usage == 0               ? "chunks (the server gave no usage)"
                                                                    : fmt::format(
                                                                          "the server's usage for {} requests, chunks "
                                                                                        "for the others",
                                                                          metrics.num_with_usage);
  return "Definitions: TTFT = first chunk with content - request sent; TPOT = (E2EL - TTFT) / (output tokens "
         "- 1), for each request; ITL = gaps between chunks, of all requests pooled; E2EL = last chunk - "
         "request sent; peak throughput over bins of 1 s; output tokens by " +
         counted + ".\n";
}

bool is_selected(const ReportOptions& options, const char* name) {
  const auto& selected = options.percentile_metrics;
  return std::find(selected.begin(), selected.end(), name) != selected.end();
}

Value rate_value(double rate) {
  return std::isinf(rate) ? Value("inf") : Value(rate);
}

void put_details(const std::vector<RequestRecord>& records, Object* out) {
  Array input_lens, output_lens, ttfts, itls, latencies, start_times, queue_times, texts, errors;
  for (const RequestRecord& record : records) {
    input_lens.emplace_back(record.prompt_len);
    output_lens.emplace_back(record.success ? record.output_len : 0);
    ttfts.emplace_back(record.ttft);
    itls.emplace_back(Array(record.itls.begin(), record.itls.end()));
    latencies.emplace_back(record.latency);
    start_times.emplace_back(record.start_time);
    queue_times.emplace_back(record.client_queue_time);
    texts.emplace_back(record.generated_text);
    errors.emplace_back(record.error);
  }
  out->set("input_lens", std::move(input_lens));
  out->set("output_lens", std::move(output_lens));
  out->set("ttfts", std::move(ttfts));
  out->set("itls", std::move(itls));
  out->set("latencies", std::move(latencies));
  out->set("start_times", std::move(start_times));
  out->set("queue_times", std::move(queue_times));
  out->set("generated_texts", std::move(texts));
  out->set("errors", std::move(errors));
}

void put_distribution(const char* name, const Distribution& distribution, Object* out) {
  out->set(fmt::format("mean_{}_ms", name), distribution.mean);
  out->set(fmt::format("median_{}_ms", name), distribution.median);
  out->set(fmt::format("std_{}_ms", name), distribution.std);
  for (const auto& [percent, value] : distribution.percentiles)
    out->set(fmt::format("p{}_{}_ms", percent_word(percent), name), value);
}

void put_traffic(const ReportOptions& options, Object* out) {
  const ArrivalOptions& arrivals = options.arrivals;
  out->set("request_rate", rate_value(arrivals.request_rate));
  out->set("burstiness", rate_value(arrivals.burstiness));
  out->set("max_concurrency", options.max_concurrency > 0 ? Value(options.max_concurrency) : Value());
  if (arrivals.ramp_up == RampUp::kNone) return;
  out->set("ramp_up_strategy", arrivals.ramp_up == RampUp::kLinear ? "linear" : "exponential");
  out->set("ramp_up_start_rps", arrivals.ramp_up_start_rps);
  out->set("ramp_up_end_rps", arrivals.ramp_up_end_rps);
}

}  // namespace

std::string percent_word(double percent) {
  return percent == std::floor(percent) ? std::to_string(static_cast<int64_t>(percent))
                                        : python_float_repr(percent);
}

std::string serve_report(const ServeMetrics& metrics, const ReportOptions& options) {
  std::string out = fmt::format("{:=^50}\n", " Serving Benchmark Result ");
  out += row("Successful requests:", metrics.completed);
  out += row("Failed requests:", metrics.failed);
  if (options.max_concurrency > 0) out += row("Maximum request concurrency:", options.max_concurrency);
  if (!std::isinf(options.arrivals.request_rate))
    out += row("Request rate configured (RPS):", options.arrivals.request_rate);
  out += row("Benchmark duration (s):", metrics.duration_s);
  out += row("Total input tokens:", metrics.total_input);
  out += row("Total generated tokens:", metrics.total_output);
  out += row("Request throughput (req/s):", metrics.request_throughput);
  if (options.has_goodput) out += row("Request goodput (req/s):", metrics.request_goodput);
  out += row("Output token throughput (tok/s):", metrics.output_throughput);
  out += row("Peak output token throughput (tok/s):", metrics.max_output_tokens_per_s);
  out += row("Peak concurrent requests:", static_cast<double>(metrics.max_concurrent_requests));
  out += row("Total token throughput (tok/s):", metrics.total_token_throughput);
  for (const Section& section : kSections) {
    auto found = metrics.distributions.find(section.name);
    if (found == metrics.distributions.end() || !is_selected(options, section.name)) continue;
    out += fmt::format("{:-^50}\n", section.title);
    out += row(fmt::format("Mean {} (ms):", section.label), found->second.mean);
    out += row(fmt::format("Median {} (ms):", section.label), found->second.median);
    for (const auto& [percent, value] : found->second.percentiles)
      out += row(fmt::format("P{} {} (ms):", percent_word(percent), section.label), value);
  }
  return out + std::string(50, '=') + "\n" + definitions(metrics);
}

std::string error_report(const std::vector<RequestRecord>& records) {
  constexpr std::size_t kMessagesMax = 10;
  std::vector<std::pair<std::string, int64_t>> messages;
  for (const RequestRecord& record : records) {
    if (record.success) continue;
    auto same = [&](const auto& entry) { return entry.first == record.error; };
    auto found = std::find_if(messages.begin(), messages.end(), same);
    if (found != messages.end())
      ++found->second;
    else if (messages.size() < kMessagesMax)
      messages.emplace_back(record.error, 1);
  }
  std::string out;
  for (const auto& [message, count] : messages)
    out += fmt::format("{} failed: {}\n", count, escape_for_terminal(message));
  return out;
}

Object serve_result(const ResultHeader& header, const ServeMetrics& metrics, const ReportOptions& options,
                    const std::vector<RequestRecord>& records, bool detailed) {
  Object out;
  out.set("date", header.date);
  out.set("endpoint_type", header.backend);  // the name that older scripts read
  out.set("backend", header.backend);
  out.set("label", header.label.empty() ? Value() : Value(header.label));
  out.set("model", header.model_id);
  out.set("model_id", header.model_id);
  out.set("tokenizer_id", header.tokenizer_id.empty() ? Value() : Value(header.tokenizer_id));
  out.set("num_prompts", header.num_prompts);
  for (const auto& [key, value] : header.metadata) out.set(key, value);
  put_traffic(options, &out);
  out.set("duration", metrics.duration_s);
  out.set("completed", metrics.completed);
  out.set("failed", metrics.failed);
  out.set("total_input_tokens", metrics.total_input);
  out.set("total_output_tokens", metrics.total_output);
  out.set("output_tokens_by_usage", metrics.num_with_usage == metrics.completed);
  out.set("request_throughput", metrics.request_throughput);
  out.set("request_goodput", options.has_goodput ? Value(metrics.request_goodput) : Value());
  out.set("output_throughput", metrics.output_throughput);
  out.set("total_token_throughput", metrics.total_token_throughput);
  if (detailed) put_details(records, &out);
  out.set("max_output_tokens_per_s", metrics.max_output_tokens_per_s);
  out.set("max_concurrent_requests", metrics.max_concurrent_requests);
  for (const Section& section : kSections) {
    auto found = metrics.distributions.find(section.name);
    if (found != metrics.distributions.end()) put_distribution(section.name, found->second, &out);
  }
  return out;
}

std::string result_filename(const ResultHeader& header, const ReportOptions& options) {
  std::string label = header.label.empty() ? header.backend : header.label;
  const ArrivalOptions& arrivals = options.arrivals;
  std::string rate = python_float_repr(arrivals.request_rate) + "qps";
  if (arrivals.ramp_up != RampUp::kNone)
    rate =
        fmt::format("ramp-up-{}-{}qps-{}qps", arrivals.ramp_up == RampUp::kLinear ? "linear" : "exponential",
                    arrivals.ramp_up_start_rps, arrivals.ramp_up_end_rps);
  std::string concurrency =
      options.max_concurrency > 0 ? fmt::format("-concurrency{}", options.max_concurrency) : "";
  std::string model = escape_for_log(header.model_id.substr(header.model_id.rfind('/') + 1));
  return fmt::format("{}-{}{}-{}-{}.json", label, rate, concurrency, model, header.date);
}

}  // namespace pagoda
