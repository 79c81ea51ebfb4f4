// How fast the model's steps are, below scheduler and server: prefill in chunks, decode with many streams at
// long contexts, and how near that comes to what this machine's memory and arithmetic allow.
//   step_bench --hf-config bench/models/Llama-3.2-1B.json --prefill 512 --decode 1@128,32@128
//   step_bench --hf-config ... --growth        streams x contexts, as far as memory goes
//   step_bench --probe                         only the machine's rates
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "base/env.h"
#include "base/json.h"
#include "bench/step/driver.h"
#include "bench/step/flags.h"
#include "ops/cpu/isa.h"

namespace pagoda {
namespace {

struct Cell {
  std::string name;
  StepCost cost;
  double tokens = 0;            // given in one time
  double steps = 0;             // in one time
  std::vector<double> seconds;  // of each repeat
  double least = 0;             // seconds, by the model
  StepProfile profile;          // of everything, the step that warms up too
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The fastest multiply-add that the weights' format allows, and the cache's.
double linear_peak(const StepFlags& flags, const MachineRates& rates) {
  if (flags.quantization != "none") return rates.dot_int8;
  return flags.dtype == "bfloat16" && rates.dot_bf16 > 0 ? rates.dot_bf16 : rates.fma_f32;
}
double attention_peak(const StepDriver& driver, const MachineRates& rates) {
  const bool in_float32 = driver.kv_dtype() == DType::kF32 || driver.kv_dtype() == DType::kF16;
  return !in_float32 && rates.dot_bf16 > 0 ? rates.dot_bf16 : rates.fma_f32;
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void machine(const MachineRates& rates, int threads) {
    Object object;
    object.set("threads", threads);
    object.set("read_GBps", rates.read_bytes_per_s / 1e9);
    object.set("fma_f32_GOPs", rates.fma_f32 / 1e9);
    object.set("dot_bf16_GOPs", rates.dot_bf16 / 1e9);
    object.set("dot_int8_GOPs", rates.dot_int8 / 1e9);
    root_.set("machine", std::move(object));
    if (!json_)
      fmt::print(
          "machine, {} threads: read {:.1f} GB/s; fma f32 {:.0f}, dot bf16 {:.0f}, dot int8 {:.0f} GOP/s\n",
          threads, rates.read_bytes_per_s / 1e9, rates.fma_f32 / 1e9, rates.dot_bf16 / 1e9,
          rates.dot_int8 / 1e9);
  }
  void model(const StepFlags& flags, const ModelCost& cost, const std::string& tuning) {
    Object object;
    object.set("hf_config", flags.hf_config);
    object.set("dtype", flags.dtype);
    object.set("quantization", flags.quantization);
    object.set("kv_cache_dtype", flags.kv_cache_dtype);
    object.set("isa", isa_name(selected_isa()));
    object.set("tuning", tuning);
    object.set("weight_bytes_per_step", cost.weight_bytes);
    object.set("kv_bytes_per_token", cost.kv_token_bytes);
    root_.set("model", std::move(object));
    if (json_) return;
    fmt::print(
        "{}: {}, quantization {}, cache {}, {} kernels; a step reads {:.3f} GB of weights and {:.0f} bytes "
        "of cache per token of context\ntuning: {}\n\n",
        flags.hf_config, flags.dtype, flags.quantization, flags.kv_cache_dtype, isa_name(selected_isa()),
        cost.weight_bytes / 1e9, cost.kv_token_bytes, tuning);
    fmt::print("{:<24} {:>9} {:>9} {:>7} {:>7} {:>8} {:>9} {:>7}  {:>6} {:>6} {:>6} {:>6}\n", "", "tok/s",
               "ms/step", "+-%", "GB/s", "GOP/s", "model ms", "of it", "linear", "attn", "rows", "rest");
  }
  void add(const Cell& cell) {
    const double time = median(cell.seconds);
    const auto [low, high] = std::minmax_element(cell.seconds.begin(), cell.seconds.end());
    const double spread = (*high - *low) / 2 / time;
    const double bytes = cell.cost.weight_bytes + cell.cost.kv_bytes;
    const double ops = cell.cost.linear_ops + cell.cost.attention_ops;
    Object object;
    object.set("name", cell.name);
    object.set("tokens_per_s", cell.tokens / time);
    object.set("ms_per_step", time / cell.steps * 1e3);
    object.set("spread", spread);
    object.set("read_GBps", bytes / time / 1e9);
    object.set("GOPs", ops / time / 1e9);
    object.set("model_ms_per_step", cell.least / cell.steps * 1e3);
    object.set("fraction_of_model", cell.least / time);
    const auto share = [&](OpKind kind) {
      return cell.profile.ops[static_cast<std::size_t>(kind)] / cell.profile.seconds;
    };
    const double linear = share(OpKind::kLinear), attention = share(OpKind::kAttention);
    const double rows = share(OpKind::kRows);
    object.set("share_linear", linear);
    object.set("share_attention", attention);
    object.set("share_rows", rows);
    cells_.push_back(std::move(object));
    if (json_) return;
    fmt::print(
        "{:<24} {:>9.1f} {:>9.2f} {:>7.1f} {:>7.1f} {:>8.0f} {:>9.2f} {:>6.0f}%  {:>5.1f}% {:>5.1f}% "
        "{:>5.1f}% {:>5.1f}%\n",
        cell.name, cell.tokens / time, time / cell.steps * 1e3, spread * 100, bytes / time / 1e9,
        ops / time / 1e9, cell.least / cell.steps * 1e3, cell.least / time * 100, linear * 100,
        attention * 100, rows * 100, (1 - linear - attention - rows) * 100);
    std::fflush(stdout);
  }
  void afterwards(double read_bytes_per_s) {  // what others did to the machine meanwhile
    root_.set("read_GBps_after", read_bytes_per_s / 1e9);
    if (!json_) fmt::print("\nafterwards: read {:.1f} GB/s\n", read_bytes_per_s / 1e9);
  }
  void finish() {
    root_.set("cells", std::move(cells_));
    if (json_) fmt::print("{}\n", write_json(Value(std::move(root_)), {.indent = 1}));
  }

 private:
  bool json_;
  Object root_;
  Array cells_;
};

// Repeats `once` under each tuning by turns: A B A B. `cell` is what they have in common.
template <class Once>
std::vector<Cell> measure(StepDriver* driver, const StepFlags& flags, const Cell& cell, Once&& once) {
  std::vector<Cell> cells(driver->num_tunings(), cell);
  for (int turn = 0; turn < flags.repeat; ++turn)
    for (std::size_t i = 0; i < cells.size(); ++i) {
      driver->tune(i);
      cells[i].seconds.push_back(once());
      cells[i].profile += driver->take_profile();
    }
  for (std::size_t i = 1; i < cells.size(); ++i) cells[i].name = fmt::format("  tuned in way {}", i + 1);
  return cells;
}

std::vector<Cell> measure_prefill(StepDriver* driver, const StepFlags& flags) {
  Cell cell{.name = fmt::format("prefill {}", flags.prefill)};
  cell.tokens = flags.prefill;
  for (int32_t done = 0; done < flags.prefill; done += flags.chunk) {
    const int32_t count = std::min(flags.chunk, flags.prefill - done);
    cell.cost += step_cost(driver->cost(), 1, done, count, done + count == flags.prefill);
    cell.steps += 1;
  }
  driver->prefill(std::min(flags.prefill, flags.chunk), flags.chunk);  // warms up
  driver->take_profile();
  return measure(driver, flags, cell, [&] { return driver->prefill(flags.prefill, flags.chunk); });
}

std::vector<Cell> measure_decode(StepDriver* driver, const StepFlags& flags, const DecodeShape& shape) {
  Cell cell{.name = fmt::format("decode {} @ {}", shape.num_seqs, shape.context)};
  cell.tokens = static_cast<double>(shape.num_seqs) * flags.steps;
  cell.steps = flags.steps;
  for (int step = 1; step <= flags.steps; ++step)
    cell.cost += step_cost(driver->cost(), shape.num_seqs, shape.context + step, 1, true);
  return measure(driver, flags, cell, [&] {
    const std::vector<double> times = driver->decode(shape.num_seqs, shape.context, flags.steps + 1);
    return std::accumulate(times.begin() + 1, times.end(), 0.0);  // the first warms up
  });
}

int64_t kv_tokens(const StepFlags& flags, const DecodeShape& shape) {
  return shape.num_seqs * in_whole_blocks(shape.context + flags.steps + 1);
}

// The shapes that fit beside the weights; the others are told.
Result<std::vector<DecodeShape>> shapes_that_fit(const StepFlags& flags, double token_bytes,
                                                 double bytes_left) {
  std::vector<DecodeShape> fitting;
  for (const DecodeShape& shape : flags.decode) {
    const double bytes = static_cast<double>(kv_tokens(flags, shape)) * token_bytes;
    if (bytes <= bytes_left)
      fitting.push_back(shape);
    else
      fmt::print(stderr, "left out: decode {} @ {} needs {:.1f} GB of cache, {:.1f} GB are left\n",
                 shape.num_seqs, shape.context, bytes / 1e9, std::max(bytes_left, 0.0) / 1e9);
  }
  if (fitting.empty() && flags.prefill == 0)
    return invalid_argument(
        "nothing to measure: give --prefill, --decode or --growth, and enough --memory-limit-gb");
  return fitting;
}

Status run(StepFlags flags) {
  Report report(flags.json);
  const int threads = flags.threads > 0 ? flags.threads : usable_cpu_count();
  MachineRates rates;
  {
    ComputePool pool(threads);
    rates = probe_machine(pool);
  }
  report.machine(rates, threads);
  if (flags.probe) {
    report.finish();
    return {};
  }
  DriverOptions options{flags.hf_config,    flags.dtype, flags.kv_cache_dtype,
                        flags.quantization, threads,     flags.cpu_tune};
  PAGODA_TRY(ModelBytes bytes, model_bytes(options));
  PAGODA_TRY(flags.decode,
             shapes_that_fit(flags, bytes.kv_token, flags.memory_limit_gb * 1e9 - bytes.weights));
  options.max_num_batched_tokens = std::min(flags.prefill, flags.chunk);
  options.max_model_len = flags.prefill;
  options.kv_tokens = in_whole_blocks(flags.prefill);
  for (const DecodeShape& shape : flags.decode) {
    options.max_num_seqs = std::max(options.max_num_seqs, shape.num_seqs);
    options.max_model_len = std::max(options.max_model_len, shape.context + flags.steps + 1);
    options.kv_tokens = std::max(options.kv_tokens, kv_tokens(flags, shape));
  }
  options.max_num_batched_tokens = std::max(options.max_num_batched_tokens, options.max_num_seqs);
  PAGODA_TRY(auto driver, StepDriver::create(options));
  std::string tunings;
  for (std::size_t i = 0; i < driver->num_tunings(); ++i)
    tunings += (i == 0 ? "" : "; ") + driver->tuning_text(i);
  report.model(flags, driver->cost(), tunings);
  auto add = [&](const std::vector<Cell>& cells) {
    for (Cell cell : cells) {
      cell.least = least_seconds(cell.cost, rates, linear_peak(flags, rates), attention_peak(*driver, rates));
      report.add(cell);
    }
  };
  if (flags.prefill > 0) add(measure_prefill(driver.get(), flags));
  for (const DecodeShape& shape : flags.decode) add(measure_decode(driver.get(), flags, shape));
  driver.reset();
  ComputePool pool(threads);
  report.afterwards(probe_read_bandwidth(pool));
  report.finish();
  return {};
}

}  // namespace
}  // namespace pagoda

int main(int argc, char** argv) {
  pagoda::Result<pagoda::StepFlags> flags = pagoda::parse_step_flags({argv + 1, argv + argc});
  if (flags.ok() && flags->help) {
    fmt::print("{}", pagoda::kStepUsage);
    return 0;
  }
  const pagoda::Status status = flags.ok() ? pagoda::run(*std::move(flags)) : flags.status();
  if (!status.ok()) fmt::print(stderr, "error: {}\n", status.message());
  return status.ok() ? 0 : 1;
}
