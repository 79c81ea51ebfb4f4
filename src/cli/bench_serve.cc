// `pagoda bench serve`: a load on any OpenAI-compatible server, and what it answers with.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <utility>

#include "assembly/text_assets.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/bench_flags.h"
#include "cli/bench_serve_flags.h"
#include "cli/commands.h"
#include "http/client.h"
#include "loadgen/report.h"

namespace pagoda {
namespace {

constexpr const char* kUsage =
    "usage: pagoda bench serve [--base-url URL] [--dataset-name NAME] [--num-prompts N] [flags]\n"
    "Sends a load to a running OpenAI-compatible server (pagoda, vLLM, llama-server) and reports throughput "
    "and\n"
    "latencies by vLLM's definitions.\n";

// One connection for each request under way.
void allow_many_connections() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct ModelNames {
  std::string name, root;  // as requests name it; where its files are, as far as the server says
};

Result<ModelNames> ask_for_model(const LoadOptions& load) {
  std::string base = load.base_url.substr(0, load.base_url.find_last_not_of('/') + 1);
  if (base.starts_with("unix:") && base.find(":/", 5) == std::string::npos) base += ':';  // a socket's path
  PAGODA_TRY(HttpResponse response, http_request({"GET", base + "/v1/models", "", load.headers, 30}));
  Result<Value> body = parse_json(response.body);
  const Value* list = body.ok() ? body->find("data") : nullptr;
  const Value* first =
      list != nullptr && list->is_array() && !list->as_array().empty() ? &list->as_array()[0] : nullptr;
  const Value* id = first == nullptr ? nullptr : first->find("id");
  if (response.status == 401)
    return invalid_argument(
        base + "/v1/models answered 401: set OPENAI_API_KEY, or give --header Authorization='Bearer KEY'");
  if (response.status != 200 || id == nullptr || !id->is_string())
    return io_error(base + "/v1/models answered " + std::to_string(response.status) +
                    " and named no model: give --model");
  const Value* root = first->find("root");
  return ModelNames{id->as_string(), root != nullptr && root->is_string() ? root->as_string() : ""};
}

// --tokenizer must load; the model's own is used where it can be found.
Result<std::shared_ptr<const Tokenizer>> find_tokenizer(const BenchServeOptions& options,
                                                        const ModelNames& names, std::string* id) {
  std::shared_ptr<const Tokenizer> none;
  if (options.skip_tokenizer) return none;
  if (!options.tokenizer.empty()) {
    *id = options.tokenizer;
    Result<std::shared_ptr<const Tokenizer>> given = load_tokenizer(options.tokenizer);
    if (!given.ok()) return std::move(given.status()).with_context("--tokenizer");
    return given;
  }
  for (const std::string& reference : {names.root, names.name}) {
    if (reference.empty()) continue;
    Result<std::shared_ptr<const Tokenizer>> found = load_tokenizer(reference);
    if (!found.ok()) continue;
    *id = reference;
    return found;
  }
  return none;
}

Result<SyntheticText> make_text(const BenchServeOptions& options,
                                const std::shared_ptr<const Tokenizer>& tokenizer) {
  // A trace's prompts share beginnings to the token: only ids keep that exactly.
  bool trace_as_ids = options.dataset.name == "timed_trace" && !options.load.style.chat &&
                      (tokenizer != nullptr || options.random_vocab_size > 0);
  if (options.random_as_ids || trace_as_ids) {
    if (options.random_vocab_size > 0)
      return SyntheticText::as_ids(static_cast<int32_t>(options.random_vocab_size));
    if (tokenizer != nullptr) return SyntheticText::as_ids(tokenizer);
    return invalid_argument("--random-as-ids needs --tokenizer or --random-vocab-size", "random-as-ids");
  }
  if (tokenizer != nullptr) return SyntheticText::as_text(tokenizer);
  log_warning(
      "No tokenizer for this model: synthetic prompts are random words, one for each token asked for, and "
      "lengths of given texts are guesses. --tokenizer names one.");
  return SyntheticText::as_words();
}

std::string date_now() {
  char text[32];
  std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::strftime(text, sizeof(text), "%Y%m%d-%H%M%S", &local);
  return text;
}

void print_plan(const BenchServeOptions& options, const std::string& model, std::size_t num_prompts) {
  const ArrivalOptions& arrivals = options.arrivals;
  std::printf("%zu prompts (%s) to %s%s, model %s\n", num_prompts, options.dataset.name.c_str(),
              options.load.base_url.c_str(), options.load.endpoint.c_str(), escape_for_log(model).c_str());
  if (options.self_timed)
    std::printf("Traffic: the trace's own times\n");
  else if (arrivals.ramp_up != RampUp::kNone)
    std::printf("Traffic ramp-up: from %g to %g requests/s\n", arrivals.ramp_up_start_rps,
                arrivals.ramp_up_end_rps);
  else
    std::printf("Traffic request rate: %g\nBurstiness factor: %g (%s)\n", arrivals.request_rate,
                arrivals.burstiness, arrivals.burstiness == 1 ? "Poisson process" : "Gamma distribution");
  if (options.load.max_concurrency > 0)
    std::printf("Maximum request concurrency: %lld\n", static_cast<long long>(options.load.max_concurrency));
  std::fflush(stdout);
}

Status warm_up(const BenchServeOptions& options, const LoadOptions& load, const BenchPrompt& first) {
  if (options.ready_check_timeout_s > 0)
    PAGODA_RETURN_IF_ERROR(wait_until_ready(load, first, static_cast<double>(options.ready_check_timeout_s)));
  if (options.num_warmups == 0) return {};
  std::vector<BenchPrompt> prompts(static_cast<std::size_t>(options.num_warmups), first);
  PAGODA_TRY(LoadResult result, run_load(load, prompts, std::vector<double>(prompts.size(), 0)));
  std::fputs(error_report(result.records).c_str(), stderr);
  return {};
}

std::vector<double> send_times(const BenchServeOptions& options, const std::vector<BenchPrompt>& prompts) {
  if (!options.self_timed) return arrival_times(options.arrivals, prompts.size(), options.dataset.seed);
  std::vector<double> times;
  for (const BenchPrompt& prompt : prompts) times.push_back(prompt.timestamp_s.value_or(0));
  return times;
}

Status save(const BenchServeOptions& options, const ResultHeader& header, const ReportOptions& report,
            const Object& result) {
  std::filesystem::path path =
      options.result_filename.empty() ? result_filename(header, report) : options.result_filename;
  if (!options.result_dir.empty()) {
    std::error_code ec;
    std::filesystem::create_directories(options.result_dir, ec);
    if (ec) return io_error("cannot make '" + options.result_dir + "': " + ec.message());
    path = options.result_dir / path;
  }
  PAGODA_RETURN_IF_ERROR(write_result_file(path.string(), result, options.append_result));
  std::printf("Results: %s\n", escape_for_log(path.string()).c_str());
  return {};
}

// False: no request succeeded.
Result<bool> bench_serve(BenchServeOptions options) {
  ModelNames names{options.served_model_name.empty() ? options.model : options.served_model_name,
                   options.model};
  if (names.name.empty()) {
    PAGODA_TRY(names, ask_for_model(options.load));
  }
  LoadOptions& load = options.load;
  load.style.model = names.name;
  ResultHeader header{date_now(), options.backend, options.label,
                      options.model.empty() ? names.name : options.model};
  PAGODA_TRY(auto tokenizer, find_tokenizer(options, names, &header.tokenizer_id));
  PAGODA_TRY(SyntheticText text, make_text(options, tokenizer));
  PAGODA_TRY(std::vector<BenchPrompt> prompts, load_dataset(options.dataset, text));
  header.num_prompts = std::ssize(prompts);
  header.metadata = options.metadata;
  print_plan(options, names.name, prompts.size());

  PAGODA_RETURN_IF_ERROR(warm_up(options, load, prompts.front()));
  std::vector<double> times = send_times(options, prompts);
  Result<LoadResult> run = [&] {
    ProgressLine progress("requests", prompts.size(), options.progress);
    load.on_progress = [&](std::size_t done) { progress.update(done); };
    return run_load(load, prompts, times);
  }();
  if (!run.ok()) return run.status();

  ServeMetrics metrics = compute_metrics(*run, options.metrics);
  ReportOptions report{options.percentile_metrics, load.max_concurrency, options.arrivals,
                       !options.metrics.goodput.empty()};
  std::fputs(error_report(run->records).c_str(), stderr);
  std::fputs(serve_report(metrics, report).c_str(), stdout);
  if (options.save_result)
    PAGODA_RETURN_IF_ERROR(save(options, header, report,
                                serve_result(header, metrics, report, run->records, options.save_detailed)));
  return metrics.completed > 0;
}

}  // namespace

int run_bench_serve(const std::vector<std::string>& arguments) {
  std::vector<FlagSpec> table = bench_serve_flag_table();
  std::string topic;
  if (wants_help(arguments, &topic)) {
    std::fputs(help_text(table, kUsage, topic).c_str(), stdout);
    return 0;
  }
  Result<ParsedCommand> parsed = parse_flags(table, arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  Result<BenchServeOptions> options = bench_serve_options(*parsed);
  if (!options.ok()) return fail(options.status().message());
  report_unused_flags(table, parsed->flags);
  allow_many_connections();
  Result<bool> good = bench_serve(*std::move(options));
  if (!good.ok()) return fail(good.status().message());
  return *good ? 0 : fail("every request failed");
}

}  // namespace pagoda
