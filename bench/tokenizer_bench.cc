// Megabytes of text per second through the tokenizer, on one core: encoding with and without the piece cache,
// loading, decoding. Needs the test data (PAGODA_TEST_DATA).
#include <benchmark/benchmark.h>

#include "base/env.h"
#include "base/mmap.h"
#include "tokenizer/tokenizer.h"

namespace pagoda {
namespace {

constexpr const char* kVocabularies[] = {"llama-3.1", "qwen2.5", "falcon", "llama-2", "mistral-7b-v0.3"};

std::string data_file(const std::string& name) {
  std::string path = environment("PAGODA_TEST_DATA").value_or(".") + "/" + name;
  auto text = read_file(path);
  return text.ok() ? *text : std::string();
}

std::string vocabulary_file(const benchmark::State& state) {
  return data_file(std::string("tokenizers/") + kVocabularies[state.range(0)] + "/tokenizer.json");
}

std::shared_ptr<const Tokenizer> load(benchmark::State& state, bool piece_cache) {
  auto tokenizer = Tokenizer::from_json(vocabulary_file(state), {.piece_cache = piece_cache});
  state.SetLabel(kVocabularies[state.range(0)]);
  if (tokenizer.ok()) return *tokenizer;
  state.SkipWithError(tokenizer.status().message().c_str());
  return nullptr;
}

void encode(benchmark::State& state, bool piece_cache) {
  const std::string text = data_file("text/frankenstein.txt");
  auto tokenizer = load(state, piece_cache);
  if (tokenizer == nullptr) return;
  std::vector<int32_t> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer->encode(text, {}, &ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
  state.counters["MB/s"] = benchmark::Counter(static_cast<double>(text.size()) * 1e-6,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void encode_cached(benchmark::State& state) {
  encode(state, true);
}
void encode_uncached(benchmark::State& state) {
  encode(state, false);
}

void decode(benchmark::State& state) {
  const std::string text = data_file("text/frankenstein.txt");
  auto tokenizer = load(state, true);
  if (tokenizer == nullptr) return;
  std::vector<int32_t> ids;
  tokenizer->encode(text, {}, &ids);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids, true));
  state.SetItemsProcessed(static_cast<int64_t>(ids.size()) * state.iterations());
}

void load_file(benchmark::State& state) {
  const std::string json = vocabulary_file(state);
  state.SetLabel(kVocabularies[state.range(0)]);
  for (auto _ : state) {
    auto tokenizer = Tokenizer::from_json(json);
    if (!tokenizer.ok()) state.SkipWithError(tokenizer.status().message().c_str());
  }
}

BENCHMARK(encode_cached)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);
BENCHMARK(encode_uncached)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);
BENCHMARK(decode)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);
BENCHMARK(load_file)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pagoda
