#include "ops/cpu/calibrate.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "ops/attention.h"
#include "ops/cpu/packed_weight.h"

namespace pagoda {
namespace {

using namespace cpu;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

enum class Job { kOneRow, kManyRows, kDecodeAttention, kPromptAttention, kSmallOps };

// One or two fields that are chosen together.
using Change = std::vector<std::pair<int64_t CpuTuning::*, int64_t>>;
struct Question {
  Job job;
  double share;  // of all the time there is
  double gain;   // by which a candidate must be faster than the default to be taken
  std::vector<Change> candidates;
};

// The most valuable first. Few threads read fastest all together; of many, some may be enough.
constexpr int64_t kHalfOfThreads = -2, kMostThreads = -4;
std::vector<Question> questions() {
  using T = CpuTuning;
  auto near = [](int64_t bytes, int64_t past_l2) {
    return Change{{&T::near_bytes, bytes}, {&T::near_past_l2, past_l2}};
  };
  return {
      {Job::kOneRow,
       0.25,
       0.02,
       {near(512, 0), near(1024, 0), near(4096, 0), near(512, 1), near(1024, 1), near(2048, 1),
        near(4096, 1)}},
      {Job::kOneRow,
       0.08,
       0.05,
       {{{&T::stream_threads, kHalfOfThreads}}, {{&T::stream_threads, kMostThreads}}}},
      {Job::kDecodeAttention,
       0.13,
       0.03,
       {{{&T::attention_ahead, 0}}, {{&T::attention_streamed_rows, 3}}, {{&T::attention_items, 8}}}},
      {Job::kManyRows,
       0.26,
       0.02,
       {{{&T::block_rows, 64}},
        {{&T::block_rows, 256}},
        {{&T::slice_words, 512}},
        {{&T::slice_words, 2048}},
        {{&T::tile_rows, 5}},
        {{&T::tile_rows, 3}}}},
      {Job::kPromptAttention,
       0.14,
       0.02,
       {{{&T::attention_rows, 96}},
        {{&T::attention_rows, 512}},
        {{&T::attention_row_chunk, 6}},
        {{&T::attention_row_chunk, 12}}}},
      {Job::kSmallOps, 0.04, 0.05, {{{&T::work_per_thread, 1 << 15}}, {{&T::work_per_thread, 1 << 19}}}},
      {Job::kOneRow, 0.05, 0.03, {{{&T::pieces, 4}}, {{&T::pieces, 32}}}},
  };
}

constexpr int kManyThreads = 8;
CpuTuning changed(CpuTuning tuning, const Change& change, int threads) {
  for (auto [field, value] : change) {
    if (field == &CpuTuning::stream_threads && threads < kManyThreads) continue;
    tuning.*field = value == kHalfOfThreads ? threads / 2 : value == kMostThreads ? threads * 3 / 4 : value;
  }
  return tuning;
}

// Of the CPU's own memory.
DeviceSpan<const int32_t> span_of(const std::vector<int32_t>& numbers) {
  return {numbers.data(), static_cast<int64_t>(numbers.size())};
}

// Panels of some weights, one after the other, and round again.
class Panels {
 public:
  void add(const PanelWeight* weight) { weights_.push_back(weight); }
  // f(weight, first, count) for the next `bytes` of them.
  template <class F>
  void next(int64_t bytes, F&& f) {
    while (bytes > 0) {
      const PanelLayout& layout = weights_[at_]->layout();
      const int64_t wanted = (bytes + layout.panel_bytes - 1) / layout.panel_bytes;
      const int64_t count = std::min(wanted, layout.num_panels - panel_);
      f(*weights_[at_], panel_, count);
      bytes -= count * layout.panel_bytes;
      panel_ += count;
      if (panel_ < layout.num_panels) continue;
      panel_ = 0;
      at_ = (at_ + 1) % weights_.size();
    }
  }
  int64_t panel_bytes() const { return weights_[0]->layout().panel_bytes; }

 private:
  std::vector<const PanelWeight*> weights_;
  std::size_t at_ = 0;
  int64_t panel_ = 0;
};

// The model's products and attention, in bites of about the same size.
class Workload {
 public:
  Workload(const CalibrationModel& model, CpuStream& stream) : model_(model), stream_(stream) {
    choose_weights();
    make_inputs();
    make_cache();
  }

  void run(Job job) {
    switch (job) {
      case Job::kOneRow:
        return products(1, all_, one_row_bytes());
      case Job::kManyRows:  // a panel per thread of the widest, and as much of the narrowest weights
        products(kManyRows, widest_, threads() * widest_.panel_bytes());
        return products(kManyRows, narrowest_, threads() * widest_.panel_bytes());
      case Job::kDecodeAttention:
        return decode();
      case Job::kPromptAttention:
        return attend(1, kPromptRows, prompt_keys_, next_block(prompt_keys_));
      case Job::kSmallOps:
        return small_ops();
    }
  }
  int64_t one_row_bytes() const { return kBytesPerThread * threads(); }

 private:
  static constexpr int64_t kBytesPerThread = 6 << 20, kManyRows = 256, kPromptRows = 96, kSeqs = 8;
  static constexpr std::size_t kCacheBytes = std::size_t{40} << 20;

  int64_t threads() const { return stream_.pool().num_threads(); }

  // Of the formats that the model has, the one with the most bytes.
  void choose_weights() {
    std::vector<std::pair<WeightFormat, std::size_t>> formats;
    for (const PackedWeight* weight : model_.weights) {
      auto found = std::find_if(formats.begin(), formats.end(),
                                [&](auto& entry) { return entry.first == weight->header().format; });
      if (found == formats.end()) found = formats.insert(formats.end(), {weight->header().format, 0});
      found->second += weight->bytes();
    }
    const auto most = std::max_element(formats.begin(), formats.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    for (const PackedWeight* weight : model_.weights)
      if (weight->header().format == most->first) weights_.push_back(&panels_of(*weight));
    const auto [narrow, wide] = std::minmax_element(weights_.begin(), weights_.end(),
                                                    [](auto* a, auto* b) { return a->k() < b->k(); });
    for (const PanelWeight* weight : weights_) {
      all_.add(weight);
      if (weight->k() == (*wide)->k()) widest_.add(weight);
      if (weight->k() == (*narrow)->k()) narrowest_.add(weight);
    }
    columns_ = kPanel;
    for (const PanelWeight* weight : weights_)
      columns_ =
          std::max(columns_, (threads() * widest_.panel_bytes() / weight->layout().panel_bytes + 1) * kPanel);
  }
  void make_inputs() {
    int64_t k = 0, n = 0;
    for (const PanelWeight* weight : weights_) {
      k = std::max(k, weight->k());
      n = std::max(n, weight->n());
    }
    numbers_.resize(static_cast<std::size_t>(k));
    for (std::size_t i = 0; i < numbers_.size(); ++i)
      numbers_[i] = static_cast<float>(i * 2654435761u % 1024) / 512.0f - 1.0f;
    std::size_t bytes = 0;
    for (const PanelWeight* weight : weights_) bytes = std::max(bytes, input_bytes(*weight, kManyRows));
    input_ = DeviceBuffer::uninitialized(stream_.memory(), bytes);
    output_.resize(static_cast<std::size_t>(n + kPanel + kManyRows * columns_));
  }
  KvLayout layout() const {
    return {model_.kv_dtype, model_.num_kv_heads, model_.head_dim, model_.head_dim, model_.block_size};
  }
  void make_cache() {
    const std::size_t block = kv_block_bytes(layout(), cpu_ops());
    num_blocks_ = static_cast<int32_t>(std::max<std::size_t>(kCacheBytes / block, kSeqs));
    cache_ = DeviceBuffer(stream_.memory(), static_cast<std::size_t>(num_blocks_) * block);
    const auto tokens =
        static_cast<int64_t>(one_row_bytes() / static_cast<int64_t>(block)) * model_.block_size;
    // A sequence's share, in whole blocks, at least one and no more than there is.
    const int64_t most = int64_t{num_blocks_} * model_.block_size / kSeqs;
    decode_keys_ =
        std::clamp<int64_t>(tokens / kSeqs / model_.block_size * model_.block_size, model_.block_size, most);
    prompt_keys_ = std::clamp<int64_t>(512, 1, int64_t{num_blocks_} * model_.block_size);
    queries_.resize(static_cast<std::size_t>(kPromptRows * model_.num_heads * model_.head_dim));
    for (std::size_t i = 0; i < queries_.size(); ++i)
      queries_[i] = static_cast<float>(i * 2654435761u % 1024) / 512.0f - 1.0f;
    attended_.resize(queries_.size());
  }

  // The same rows for every weight of a width; made anew when the width changes.
  MatmulInput input_of(const PanelWeight& weight, int64_t rows) {
    MatmulInput input = make_input(weight, input_.span<std::byte>(), rows);
    if (weight.k() == filled_k_ && rows == filled_rows_) return input;
    for (int64_t row = 0; row < rows; ++row) convert_row(input, row, numbers_.data());
    filled_k_ = weight.k();
    filled_rows_ = rows;
    return input;
  }
  // Rows of the result are as far apart as these panels are wide.
  void product(const PanelWeight& weight, int64_t rows, int64_t first, int64_t count) {
    const bool is_gated = weight.header().is_gated;
    Tensor y = Tensor::matrix(output_.data(), DType::kF32, rows, is_gated ? weight.n() / 2 : weight.n());
    y.row_stride = columns_;
    multiply_panels(y, input_of(weight, rows), weight, {}, is_gated ? Epilogue::kSiluMul : Epilogue::kStore,
                    first, count, stream_);
  }
  void products(int64_t rows, Panels& panels, int64_t bytes) {
    panels.next(bytes, [&](const PanelWeight& weight, int64_t first, int64_t count) {
      product(weight, rows, first, count);
    });
  }
  void small_ops() {
    const PanelWeight& weight = *weights_[0];
    const int64_t most = std::min<int64_t>(weight.layout().num_panels, 16);
    for (int64_t panels = 1; panels <= most; panels *= 2) product(weight, 1, 0, panels);
    const Tensor x = Tensor::matrix(numbers_.data(), DType::kF32, 1, weight.k());
    for (int64_t rows = 1; rows <= 16; rows *= 4) {
      Tensor same = x;  // one row, many times
      same.shape[0] = rows;
      MatmulInput input = make_input(weight, input_.span<std::byte>(), rows);
      split(stream_, rows, 8 * input.k, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) convert_row(input, row, same.row<float>(0));
      });
    }
    filled_k_ = 0;
  }

  // Where so many tokens' blocks begin; the next call's lie behind them.
  int32_t next_block(int64_t tokens) {
    const auto blocks = static_cast<int32_t>((tokens + model_.block_size - 1) / model_.block_size);
    if (block_ + blocks > num_blocks_) block_ = 0;
    const int32_t first = block_;
    block_ += blocks;
    return first;
  }
  void decode() { attend(kSeqs, 1, decode_keys_, next_block(decode_keys_ * kSeqs)); }
  // `rows` queries behind the last keys of each of `seqs` sequences, whose blocks begin at `first`.
  void attend(int32_t seqs, int64_t rows, int64_t keys, int32_t first) {
    rows = std::min(rows, keys);
    const auto blocks = static_cast<int32_t>((keys + model_.block_size - 1) / model_.block_size);
    std::vector<int32_t> starts, lengths(static_cast<std::size_t>(seqs), static_cast<int32_t>(keys));
    for (int32_t seq = 0; seq <= seqs; ++seq) starts.push_back(seq * static_cast<int32_t>(rows));
    std::vector<int32_t> table(static_cast<std::size_t>(seqs * blocks));
    std::iota(table.begin(), table.end(), first);
    AttnBatch batch{.query_start_loc = span_of(starts),
                    .seq_lens = span_of(lengths),
                    .block_table = span_of(table),
                    .num_seqs = seqs,
                    .num_tokens = starts.back(),
                    .max_blocks = blocks,
                    .block_size = model_.block_size,
                    .scale = 0.1f};
    const KvLayerView kv{cache_.data(), kv_block_bytes(layout(), cpu_ops()), layout()};
    const int64_t width = int64_t{model_.num_heads} * model_.head_dim;
    paged_attention(Tensor::matrix(attended_.data(), DType::kF32, starts.back(), width),
                    Tensor::matrix(queries_.data(), DType::kF32, starts.back(), width), kv, batch,
                    model_.num_heads, stream_);
  }

  const CalibrationModel& model_;
  CpuStream& stream_;
  std::vector<const PanelWeight*> weights_;
  Panels all_, widest_, narrowest_;
  int64_t filled_k_ = 0, filled_rows_ = 0;
  int64_t columns_ = 0;  // of neighbouring panels, at most, for more than one row
  std::vector<float> numbers_, output_, queries_, attended_;
  DeviceBuffer input_, cache_;
  int32_t num_blocks_ = 0, block_ = 0;
  int64_t decode_keys_ = 0, prompt_keys_ = 0;
};

double least(const std::vector<double>& times) {
  return *std::min_element(times.begin(), times.end());
}
double middle(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// How often a thread of this process was made to leave its CPU.
int64_t evictions() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

struct Answer {
  std::size_t best = 0;  // the candidate to take, 0 being the default
  std::vector<std::vector<double>> times;
  bool disturbed = false;
};

// Times the candidates by turns, at most `seconds` long. A time in which a thread had to leave its CPU is no
// time of the candidate's.
Answer ask(const Question& question, const std::vector<CpuTuning>& candidates, double seconds, Workload& work,
           CpuStream& stream) {
  constexpr std::size_t kRoundsMin = 3, kRoundsMax = 9;
  const auto start = Clock::now();
  Answer answer;
  answer.times.resize(candidates.size());
  stream.set_tuning(candidates[0]);
  work.run(question.job);  // takes its memory
  int64_t asked = 0, spoilt = 0;
  for (std::size_t round = 0; round < kRoundsMax; ++round)
    for (std::size_t i = 0; i < candidates.size() && seconds_since(start) < seconds; ++i) {
      const std::size_t one = (i + round) % candidates.size();
      stream.set_tuning(candidates[one]);
      const int64_t before = evictions();
      const auto begin = Clock::now();
      work.run(question.job);
      const double time = seconds_since(begin);
      ++asked;
      if (evictions() == before)
        answer.times[one].push_back(time);
      else
        ++spoilt;
    }
  answer.disturbed = spoilt * 5 > asked;
  if (answer.disturbed) return answer;
  const std::vector<double>& usual = answer.times[0];
  const double bar = 1 - question.gain;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const std::vector<double>& mine = answer.times[i];
    if (mine.size() < kRoundsMin || usual.size() < kRoundsMin) continue;
    if (least(mine) < bar * least(usual) && middle(mine) < bar * middle(usual) &&
        least(mine) < least(answer.times[answer.best]))
      answer.best = i;
  }
  return answer;
}

// How long a thread that sleeps takes to begin its work: one that spins as long as that loses at most as much
// as it saves. 0: as long as it spins now is long enough.
int64_t spin_for(ComputePool& pool) {
  if (pool.num_threads() < 2 || pool.spin_us() == 0) return 0;
  constexpr int64_t kMost = 200;
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(pool.spin_us() + 100));
    const auto start = Clock::now();
    pool.run([](int) {});
    times.push_back(seconds_since(start) * 1e6);
  }
  const auto wake = std::min(static_cast<int64_t>(middle(times)), kMost);
  return wake > pool.spin_us() * 5 / 4 ? wake : 0;
}

}  // namespace

Calibration calibrate(const CalibrationModel& model, CpuStream& stream, double seconds) {
  const auto start = Clock::now();
  const CpuTuning before = stream.tuning();
  Calibration found;
  Workload work(model, stream);
  const int threads = stream.pool().num_threads();
  for (const Question& question : questions()) {
    std::vector<CpuTuning> candidates = {found.tuning};
    for (const Change& change : question.candidates) {
      const CpuTuning other = changed(found.tuning, change, threads);
      if (std::find(candidates.begin(), candidates.end(), other) == candidates.end())
        candidates.push_back(other);
    }
    const double left = seconds - seconds_since(start);
    if (candidates.size() < 2 || left <= 0) continue;
    const Answer answer = ask(question, candidates, std::min(left, question.share * seconds), work, stream);
    found.disturbed = found.disturbed || answer.disturbed;
    found.tuning = candidates[answer.best];
    const std::vector<double>& times = answer.times[answer.best];
    if (question.job != Job::kOneRow || times.empty() || found.read_bytes_per_s > 0) continue;
    found.read_bytes_per_s = static_cast<double>(work.one_row_bytes()) / middle(times);
    found.gain = middle(answer.times[0]) / middle(times) - 1;
  }
  if (seconds_since(start) < seconds) found.tuning.spin_us = spin_for(stream.pool());
  stream.set_tuning(before);
  found.seconds = seconds_since(start);
  return found;
}

std::string calibration_text(const Calibration& found) {
  return fmt::format("measured in {:.0f} ms: {}; one stream reads weights at {:.1f} GB/s ({:+.0f} %){}",
                     found.seconds * 1e3, tuning_text(found.tuning), found.read_bytes_per_s / 1e9,
                     found.gain * 100, found.disturbed ? "; others used the CPUs meanwhile" : "");
}

std::vector<CpuTuning> calibration_candidates() {
  std::vector<CpuTuning> all = {CpuTuning{}};
  for (const Question& question : questions())
    for (const Change& change : question.candidates)
      all.push_back(changed(CpuTuning{}, change, kManyThreads));
  return all;
}

}  // namespace pagoda
