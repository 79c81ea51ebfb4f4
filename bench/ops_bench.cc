// How fast the ops are: useful operations and bytes of weights or cache per second, and which fraction that
// is of what this machine does at most (roofline.h), measured in the same process just before.
//   ops_bench --benchmark_filter=matmul/llama
// Shapes: Llama-3.2-1B (hidden 2048, MLP 8192, 32 heads over 8 of 64) and the built-in demo model (hidden
// 192).
#include <benchmark/benchmark.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/env.h"
#include "bench/step/roofline.h"
#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/isa.h"
#include "ops/matmul.h"
#include "ops/norm.h"

namespace pagoda {
namespace {

struct Machine {
  explicit Machine(int threads) : pool(threads, 50), stream(&pool) {}
  ComputePool pool;
  CpuStream stream;
};

// Random weights and inputs: the power that a multiplication takes depends on them.
std::vector<uint16_t> random_bf16(int64_t count) {
  std::vector<uint16_t> bits(static_cast<std::size_t>(count));
  uint64_t state = 1;
  for (uint16_t& number : bits) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    number = float_to_bf16(static_cast<float>(static_cast<int64_t>(state) >> 40) * 0x1p-23f);
  }
  return bits;
}

struct Format {
  const char* name;
  WeightFormat format;
};
const Format kFormats[] = {{"bf16", {WeightScheme::kBF16}},
                           {"int8", {WeightScheme::kInt8}},
                           {"int4", {WeightScheme::kInt4, 128}},
                           {"int4-g32", {WeightScheme::kInt4, 32}},
                           {"int4-zp", {WeightScheme::kInt4, 128, true}},
                           {"f32", {WeightScheme::kF32}}};

// Measured at first use.
const MachineRates& machine_rates(int threads) {
  static std::map<int, MachineRates> rates;
  if (!rates.contains(threads)) {
    ComputePool pool(threads, 50);
    rates[threads] = probe_machine(pool);
  }
  return rates[threads];
}
double peak_of(const WeightFormat& format, const MachineRates& rates) {
  if (format.scheme == WeightScheme::kInt8 || format.scheme == WeightScheme::kInt4) return rates.dot_int8;
  return format.scheme == WeightScheme::kBF16 ? rates.dot_bf16 : rates.fma_f32;
}

void bench_matmul(benchmark::State& state, int64_t n, int64_t k, int64_t m, WeightFormat format, Isa isa,
                  int threads) {
  if (!select_isa(isa).ok()) return state.SkipWithError("not on this CPU");
  Machine machine(threads);
  std::vector<uint16_t> bits = random_bf16(n * k), x_bits = random_bf16(m * k);
  const Weight part = plain_weight("w", DType::kBF16, n, k, std::as_bytes(std::span(bits)));
  auto weight = std::move(*pack_weight({&part, 1}, format, false, machine.stream));
  std::vector<float> x, y(static_cast<std::size_t>(m * n));
  for (uint16_t number : x_bits) x.push_back(bf16_to_float(number));
  const DeviceBuffer room(machine.stream.memory(), input_bytes(*weight, m));
  const MatmulInput input = make_input(*weight, room.span<std::byte>(), m);
  convert_input(input, Tensor::matrix(x.data(), DType::kF32, m, k), machine.stream);
  Tensor ty = Tensor::matrix(y.data(), DType::kF32, m, n);
  for (auto _ : state) matmul(ty, input, *weight, {}, Epilogue::kStore, machine.stream);
  const auto rounds = static_cast<double>(state.iterations());
  const double ops = 2.0 * static_cast<double>(n * k * m) * rounds;
  const double bytes = static_cast<double>(weight->bytes()) * rounds;
  const MachineRates& rates = machine_rates(threads);
  auto per_second = [&](const char* name, double value) {
    state.counters[name] = benchmark::Counter(value, benchmark::Counter::kIsRate);
  };
  per_second("op/s", ops);
  per_second("weights B/s", bytes);
  per_second("of peak", ops / peak_of(format, rates));
  per_second("of read", bytes / rates.read_bytes_per_s);
}

void bench_pack(benchmark::State& state, WeightFormat format, int threads) {
  Machine machine(threads);
  constexpr int64_t kRows = 8192, kColumns = 2048;
  std::vector<uint16_t> bits(kRows * kColumns, 0x3C12);
  const Weight part = plain_weight("w", DType::kBF16, kRows, kColumns, std::as_bytes(std::span(bits)));
  for (auto _ : state) benchmark::DoNotOptimize(pack_weight({&part, 1}, format, false, machine.stream));
  state.SetBytesProcessed(state.iterations() * kRows * kColumns * 2);
}

void bench_norm(benchmark::State& state, int64_t rows, int64_t width, WeightFormat format) {
  Machine machine(1);
  std::vector<float> x(static_cast<std::size_t>(rows * width), 0.5f),
      weight(static_cast<std::size_t>(width), 1);
  const Weight part = plain_weight("w", DType::kF32, 1, width, std::as_bytes(std::span(weight)));
  auto reader = std::move(*pack_weight({&part, 1}, format, false, machine.stream));
  const DeviceBuffer room(machine.stream.memory(), input_bytes(*reader, rows));
  const MatmulInput input = make_input(*reader, room.span<std::byte>(), rows);
  for (auto _ : state)
    rms_norm(input, Tensor::matrix(x.data(), DType::kF32, rows, width), {weight.data(), width}, 1e-5f,
             machine.stream);
  state.SetBytesProcessed(state.iterations() * rows * width * 8);
}

struct Shape {
  const char* name;
  int64_t n, k;
};
const Shape kShapes[] = {
    {"cache", 64, 4096},          {"llama1b/qkv", 3072, 2048},    {"llama1b/gate_up", 16384, 2048},
    {"llama1b/down", 2048, 8192}, {"llama1b/head", 128256, 2048}, {"demo/qkv", 320, 192},
    {"demo/gate_up", 1024, 192},  {"demo/head", 2048, 192}};

// One thread is timed by its own CPU time, so that a busy machine shows less; several by the wall clock.
void add(const std::string& name, int threads, const std::function<void(benchmark::State&)>& bench) {
  auto* added = benchmark::RegisterBenchmark((name + "/threads:" + std::to_string(threads)).c_str(), bench);
  if (threads > 1) added->UseRealTime();
}

void register_all() {
  const int all = usable_cpu_count();
  std::vector<int> counts = {1};
  if (all > 1) counts.push_back(all);
  for (int threads : counts) {
    for (const Shape& shape : kShapes)
      for (int64_t m : {1, 8, 32, 128, 512})
        for (const Format& format : kFormats)
          for (Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
            if (shape.n > 100000 && m > 32) continue;
            add(std::string("matmul/") + shape.name + "/tokens:" + std::to_string(m) + '/' + format.name +
                    '/' + isa_name(isa),
                threads,
                [=](auto& state) { bench_matmul(state, shape.n, shape.k, m, format.format, isa, threads); });
          }
    for (const Format& format : kFormats)
      add(std::string("pack/") + format.name, threads,
          [=](auto& state) { bench_pack(state, format.format, threads); });
  }
  for (const Format& format : kFormats)
    benchmark::RegisterBenchmark((std::string("rms_norm/2048x1/") + format.name).c_str(), bench_norm, 1, 2048,
                                 format.format);
}
const bool registered = (register_all(), true);

}  // namespace
}  // namespace pagoda
