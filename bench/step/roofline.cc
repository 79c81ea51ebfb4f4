#include "bench/step/roofline.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "tensor/tensor.h"

namespace pagoda {
namespace {

constexpr int kRounds = 5, kShortRounds = 25;

double seconds(FunctionRef<void()> work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Sixteen bytes per add on eight chains: faster than any memory.
uint64_t sum_of(const uint64_t* words, std::size_t count) {
  uint64_t sums[16] = {};
  for (std::size_t i = 0; i < count; i += 16)
    for (std::size_t lane = 0; lane < 16; ++lane) sums[lane] += words[i + lane];
  uint64_t sum = 0;
  for (uint64_t part : sums) sum += part;
  return sum;
}

double probe_ops(ComputePool& pool, double (*loop)(int64_t rounds)) {
  constexpr int64_t kLoops = 2'000'000;  // some 4 ms at 2 instructions per cycle
  std::vector<double> done(static_cast<std::size_t>(pool.num_threads()));
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double time = seconds(
        [&] { pool.run([&](int worker) { done[static_cast<std::size_t>(worker)] = loop(kLoops); }); });
    double total = 0;
    for (double ops : done) total += ops;
    best = std::max(best, total / time);
  }
  return best;
}

}  // namespace

double probe_read_bandwidth(ComputePool& pool) {
  constexpr std::size_t kBytes = std::size_t{1} << 30, kPage = 4096;
  Buffer buffer(kBytes);
  auto* words = static_cast<uint64_t*>(buffer.data());
  const auto threads = static_cast<std::size_t>(pool.num_threads());
  const std::size_t share = kBytes / threads / kPage * kPage / sizeof(uint64_t);
  pool.run([&](int worker) {  // a page that was only read is the system's one page of zeros
    for (std::size_t i = 0; i < share; i += kPage / sizeof(uint64_t))
      words[static_cast<std::size_t>(worker) * share + i] = i;
  });
  std::vector<uint64_t> sums(threads);
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double time = seconds([&] {
      pool.run([&](int worker) {
        const auto index = static_cast<std::size_t>(worker);
        sums[index] += sum_of(words + index * share, share);
      });
    });
    best = std::max(best, static_cast<double>(share * threads * sizeof(uint64_t)) / time);
  }
  volatile uint64_t sink = 0;  // the sums are wanted
  for (uint64_t sum : sums) sink = sink + sum;
  return best;
}

MachineRates probe_machine(ComputePool& pool) {
  MachineRates rates;
  rates.read_bytes_per_s = probe_read_bandwidth(pool);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) rates.fma_f32 = probe_ops(pool, fma_f32_ops);
  if (__builtin_cpu_supports("avx512bf16")) rates.dot_bf16 = probe_ops(pool, dot_bf16_ops);
  if (__builtin_cpu_supports("avx512vnni")) rates.dot_int8 = probe_ops(pool, dot_int8_ops);
#endif
  return rates;
}

StepCost& StepCost::operator+=(const StepCost& other) {
  weight_bytes += other.weight_bytes;
  kv_bytes += other.kv_bytes;
  linear_ops += other.linear_ops;
  attention_ops += other.attention_ops;
  return *this;
}

ModelCost model_cost(const ModelConfig& config, double weight_bytes, double embedding_bytes,
                     double kv_token_bytes) {
  const auto hidden = static_cast<double>(config.hidden_size);
  ModelCost cost;
  for (const LayerConfig& layer : config.layers) {
    const AttentionConfig& shape = layer.attention;
    const double mlps = std::max(layer.mlp.experts_per_token, 1);
    cost.layer_params += hidden * (shape.qkv_size() + shape.q_size() +
                                   3 * mlps * static_cast<double>(layer.mlp.intermediate_size));
    cost.attention_ops_per_pair += 4 * shape.q_size();  // q . k and p v
  }
  cost.head_params = hidden * static_cast<double>(config.vocab_size);
  cost.weight_bytes = weight_bytes - embedding_bytes;
  cost.kv_token_bytes = kv_token_bytes;
  return cost;
}

StepCost step_cost(const ModelCost& model, int64_t num_seqs, double context, int64_t num_tokens,
                   bool samples) {
  const auto seqs = static_cast<double>(num_seqs), tokens = static_cast<double>(num_tokens);
  const double head_share = samples ? 1 : 0;
  StepCost cost;
  const double head_bytes = model.weight_bytes * model.head_params / (model.layer_params + model.head_params);
  cost.weight_bytes = model.weight_bytes - (1 - head_share) * head_bytes;
  cost.linear_ops = 2 * seqs * (tokens * model.layer_params + head_share * model.head_params);
  cost.kv_bytes = seqs * (context + tokens) * model.kv_token_bytes;
  cost.attention_ops = seqs * tokens * (context + (tokens + 1) / 2) * model.attention_ops_per_pair;
  return cost;
}

double least_seconds(const StepCost& cost, const MachineRates& rates, double linear_peak,
                     double attention_peak) {
  const double linear = linear_peak > 0 ? cost.linear_ops / linear_peak : 0;
  const double attention = attention_peak > 0 ? cost.attention_ops / attention_peak : 0;
  return std::max(cost.weight_bytes / rates.read_bytes_per_s, linear) +
         std::max(cost.kv_bytes / rates.read_bytes_per_s, attention);
}

}  // namespace pagoda
