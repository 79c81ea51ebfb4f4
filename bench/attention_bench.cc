// Attention against the machine: bytes of cache per second beside a plain read of memory, operations per
// second beside the multiply-add instruction that the cache's format allows; both probed just before each
// case with the same threads, because other work on the machine slows all of them down alike.
//   attention_bench --benchmark_filter=decode/llama1b
#include <benchmark/benchmark.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "bench/step/roofline.h"
#include "ops/attention.h"
#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/isa.h"

namespace pagoda {
namespace {

// Of the CPU's memory, which is the host's.
DeviceSpan<const int32_t> span_of(const std::vector<int32_t>& numbers) {
  return {numbers.data(), static_cast<int64_t>(numbers.size())};
}

struct Heads {
  const char* name;
  int32_t heads, kv_heads, dim;
};
constexpr Heads kLlama1b{"llama1b", 32, 8, 64}, kLlama8b{"llama8b", 32, 8, 128}, kMha{"mha128", 16, 16, 128};

// `seqs` sequences of `context` tokens, the last `queries` of which are this step's.
struct Shape {
  Heads heads;
  int32_t queries, context, seqs;
};

// Layers of one shape, so many that they do not stay in a cache between two steps, attended in turns.
class Setting {
 public:
  Setting(const Shape& shape, DType dtype, int threads) : shape_(shape), pool_(threads, 50), stream_(&pool_) {
    const auto [name, heads, kv_heads, dim] = shape.heads;
    const int32_t blocks = (shape.context + kBlock - 1) / kBlock;
    const KvLayout layout{dtype, kv_heads, dim, dim, kBlock};
    const std::size_t bytes =
        kv_block_bytes(layout, cpu_ops()) * static_cast<std::size_t>(blocks * shape.seqs);
    layer_bytes_ = static_cast<double>(bytes);
    const std::size_t layers = shape.queries > 64 ? 1 : (kCacheBytes + bytes - 1) / bytes;
    for (std::size_t i = 0; i < layers; ++i) {
      buffers_.emplace_back(bytes);
      views_.push_back({buffers_.back().data(), kv_block_bytes(layout, cpu_ops()), layout});
    }
    for (int32_t seq = 0; seq < shape.seqs; ++seq) {
      starts_.push_back(starts_.back() + shape.queries);
      lengths_.push_back(shape.context);
    }
    for (int32_t i = 0; i < blocks * shape.seqs; ++i) table_.push_back(i);
    q_.assign(static_cast<std::size_t>(rows() * heads * dim), 0);
    for (std::size_t i = 0; i < q_.size(); ++i) q_[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
    out_.resize(q_.size());
    batch_.query_start_loc = span_of(starts_);
    batch_.seq_lens = span_of(lengths_);
    batch_.block_table = span_of(table_);
    batch_.num_seqs = shape.seqs;
    batch_.num_tokens = static_cast<int32_t>(rows());
    batch_.max_blocks = blocks;
    batch_.block_size = kBlock;
    batch_.scale = 0.125f;
    fill();
  }

  void step() {
    const int64_t columns = int64_t{shape_.heads.heads} * shape_.heads.dim;
    paged_attention(Tensor::matrix(out_.data(), DType::kF32, rows(), columns),
                    Tensor::matrix(q_.data(), DType::kF32, rows(), columns), views_[next_], batch_,
                    shape_.heads.heads, stream_);
    next_ = (next_ + 1) % views_.size();
  }
  ComputePool& pool() { return pool_; }
  double layer_bytes() const { return layer_bytes_; }
  double operations() const {
    const double pairs = shape_.queries * (shape_.context - (shape_.queries - 1) / 2.0) * shape_.seqs;
    return 4.0 * pairs * shape_.heads.heads * shape_.heads.dim;
  }

 private:
  static constexpr int32_t kBlock = 16;
  static constexpr std::size_t kCacheBytes = std::size_t{384} << 20;
  int64_t rows() const { return int64_t{shape_.queries} * shape_.seqs; }

  // The first sequence's tokens through kv_store; the other sequences and layers are copies.
  void fill() {
    const int64_t columns = int64_t{shape_.heads.kv_heads} * shape_.heads.dim;
    std::vector<float> k(static_cast<std::size_t>(shape_.context * columns)), v(k.size());
    for (std::size_t i = 0; i < k.size(); ++i) {
      k[i] = static_cast<float>(i * 104729 % 2000) / 1000 - 1;
      v[i] = static_cast<float>(i * 1299709 % 2000) / 1000 - 1;
    }
    std::vector<int64_t> slots;
    for (int32_t i = 0; i < shape_.context; ++i) slots.push_back(i);
    AttnBatch one = batch_;
    one.slot_mapping = {slots.data(), static_cast<int64_t>(slots.size())};
    one.num_tokens = shape_.context;
    kv_store(views_[0], Tensor::matrix(k.data(), DType::kF32, shape_.context, columns),
             Tensor::matrix(v.data(), DType::kF32, shape_.context, columns), one, stream_);
    const std::size_t sequence = buffers_[0].bytes() / static_cast<std::size_t>(shape_.seqs);
    for (Buffer& buffer : buffers_)
      for (int32_t seq = 0; seq < shape_.seqs; ++seq) {
        char* to = static_cast<char*>(buffer.data()) + sequence * static_cast<std::size_t>(seq);
        if (to != buffers_[0].data()) std::memcpy(to, buffers_[0].data(), sequence);
      }
  }

  Shape shape_;
  ComputePool pool_;
  CpuStream stream_;
  double layer_bytes_ = 0;
  std::vector<Buffer> buffers_;
  std::vector<KvLayerView> views_;
  std::vector<int32_t> starts_ = {0}, lengths_, table_;
  std::vector<float> q_, out_;
  AttnBatch batch_;
  std::size_t next_ = 0;
};

void run(benchmark::State& state, const Shape& shape, DType dtype, int threads, Isa isa) {
  if (!select_isa(isa).ok()) return state.SkipWithError("not on this CPU");
  Setting setting(shape, dtype, threads);
  const bool streams = shape.queries <= 64;
  MachineRates rates;
  if (streams)
    rates.read_bytes_per_s = probe_read_bandwidth(setting.pool());
  else
    rates = probe_machine(setting.pool());
  setting.step();
  for (auto _ : state) setting.step();
  using benchmark::Counter;
  const auto rounds = static_cast<double>(state.iterations());
  if (streams) {
    state.counters["cache B/s"] = Counter(setting.layer_bytes() * rounds, Counter::kIsRate);
    state.counters["plain read B/s"] = rates.read_bytes_per_s;
    state.counters["of read"] =
        Counter(setting.layer_bytes() * rounds / rates.read_bytes_per_s, Counter::kIsRate);
  } else {
    // 16-bit halves of an int8 cache's operands cost what bfloat16 does; e4m3 becomes bfloat16.
    const double peak = dtype == DType::kF32 ? rates.fma_f32 : rates.dot_bf16;
    state.counters["FLOP/s"] = Counter(setting.operations() * rounds, Counter::kIsRate);
    state.counters["peak FLOP/s"] = peak;
    state.counters["of peak"] = Counter(setting.operations() * rounds / peak, Counter::kIsRate);
  }
}

void add(const char* kind, const Shape& shape, DType dtype, int threads, Isa isa) {
  const std::string name = std::string(kind) + '/' + shape.heads.name +
                           "/seqs:" + std::to_string(shape.seqs) +
                           "/context:" + std::to_string(shape.context) +
                           (shape.queries > 1 ? "/queries:" + std::to_string(shape.queries) : "") + '/' +
                           dtype_name(dtype) + '/' + isa_name(isa) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](auto& state) {
    run(state, shape, dtype, threads, isa);
  })->UseRealTime();
}

void register_all() {
  std::vector<int> counts = {1};
  if (usable_cpu_count() > 1) counts.push_back(usable_cpu_count());
  for (int threads : counts) {
    for (DType dtype : {DType::kBF16, DType::kF8E4M3, DType::kI8, DType::kF32}) {
      for (int32_t seqs : {1, 8, 32})
        for (int32_t context : {128, 1024, 4096, 16384})
          if (seqs * context <= 8 * 16384)
            add("decode", {kLlama1b, 1, context, seqs}, dtype, threads, best_isa());
      add("decode", {kLlama8b, 1, 4096, 8}, dtype, threads, best_isa());
      add("decode", {kMha, 1, 4096, 4}, dtype, threads, best_isa());
      for (int32_t context : {512, 2048, 16384}) {
        add("prefill", {kLlama1b, std::min(context, 2048), context, 1}, dtype, threads, best_isa());
        add("prefill", {kLlama8b, std::min(context, 2048), context, 1}, dtype, threads, best_isa());
      }
    }
    for (Isa isa : {Isa::kAvx2, Isa::kAvx512})
      for (DType dtype : {DType::kBF16, DType::kF8E4M3, DType::kI8}) {
        add("decode", {kLlama1b, 1, 4096, 8}, dtype, threads, isa);
        add("prefill", {kLlama1b, 2048, 2048, 1}, dtype, threads, isa);
      }
  }
}
const bool registered = (register_all(), true);

}  // namespace
}  // namespace pagoda
