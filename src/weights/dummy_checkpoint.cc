#include "weights/dummy_checkpoint.h"

#include <array>
#include <bit>
#include <utility>

#include "base/rng.h"
#include "tensor/tensor.h"

namespace pagoda {
namespace {

constexpr float kStddev = 0.02f;
constexpr int64_t kPerWord = 4;  // numbers of one random word: 12 of every 16 bits choose a quantile
constexpr std::size_t kQuantiles = 1 << 12;

uint64_t name_hash(std::string_view name) {  // FNV-1a
  uint64_t hash = 0xCBF29CE484222325ull;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001B3ull;
  return hash;
}

// The middles of kQuantiles equal parts of a distribution near enough to the normal one: that of the sum of
// four uniform bytes, with mean 510 and variance 4 (256^2 - 1) / 12. Counted in integers, so the same
// everywhere.
std::array<float, kQuantiles> nearly_normal_quantiles() {
  constexpr float kMean = 510.0f, kSumStddev = 147.80076f;
  std::vector<uint64_t> ways = {1};  // in which so many bytes have the sum `index`
  for (int bytes = 0; bytes < 4; ++bytes) {
    std::vector<uint64_t> more(ways.size() + 255);
    for (std::size_t sum = 0; sum < ways.size(); ++sum)
      for (std::size_t byte = 0; byte < 256; ++byte) more[sum + byte] += ways[sum];
    ways = std::move(more);
  }
  std::array<float, kQuantiles> quantiles;
  std::size_t sum = 0;
  uint64_t below_or_at = ways[0];
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    constexpr uint64_t kWidth = (uint64_t{1} << 32) / kQuantiles;
    while (below_or_at <= i * kWidth + kWidth / 2) below_or_at += ways[++sum];
    quantiles[i] = (static_cast<float>(sum) - kMean) * (kStddev / kSumStddev);
  }
  return quantiles;
}

template <class Bits>
using Table = std::array<Bits, kQuantiles>;

// The quantiles in a tensor's own dtype; all ones for a norm.
template <class Bits>
Table<Bits> make_table(DType dtype, bool ones) {
  static const std::array<float, kQuantiles> quantiles = nearly_normal_quantiles();
  Table<Bits> table;
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    const float number = ones ? 1.0f : quantiles[i];
    if (dtype == DType::kF32)
      table[i] = static_cast<Bits>(std::bit_cast<uint32_t>(number));
    else
      table[i] = static_cast<Bits>(dtype == DType::kBF16 ? float_to_bf16(number) : float_to_f16(number));
  }
  return table;
}

// Numbers [begin, end) of the stream that begins at `key`; begin is a multiple of kPerWord.
template <class Bits>
void fill(const Table<Bits>& table, uint64_t key, Bits* out, int64_t begin, int64_t end) {
  SplitMix64 random(key + static_cast<uint64_t>(begin / kPerWord) * SplitMix64::kIncrement);
  int64_t i = begin;
  for (; i + kPerWord <= end; i += kPerWord) {
    const uint64_t word = random.next();
    for (int j = 0; j < kPerWord; ++j) out[i + j] = table[word >> (16 * j + 4) & (kQuantiles - 1)];
  }
  for (uint64_t word = random.next(); i < end; ++i, word >>= 16) out[i] = table[word >> 4 & (kQuantiles - 1)];
}

class DummyCheckpoint : public Checkpoint {
 public:
  DummyCheckpoint(std::vector<StoredTensor> tensors, uint64_t seed, ComputePool* pool)
      : Checkpoint(std::move(tensors)), seed_(seed), pool_(pool) {}

  Result<Weight> weight(std::string_view name) const override {
    PAGODA_TRY(Weight weight, Checkpoint::weight(name));
    const int64_t count = weight.rows * weight.columns;
    auto numbers = std::make_shared<Buffer>(
        Buffer::uninitialized(static_cast<std::size_t>(count) * dtype_bytes(weight.dtype)));
    weight.data = {static_cast<const std::byte*>(numbers->data()), numbers->bytes()};
    if (weight.dtype == DType::kF32)
      fill_all(weight, static_cast<uint32_t*>(numbers->data()), count);
    else
      fill_all(weight, static_cast<uint16_t*>(numbers->data()), count);
    weight.owner = std::move(numbers);
    return weight;
  }
  void release(std::span<const std::byte>) const override {}

 private:
  template <class Bits>
  void fill_all(const Weight& weight, Bits* out, int64_t count) const {
    const Table<Bits> table = make_table<Bits>(weight.dtype, weight.name.ends_with("norm.weight"));
    const uint64_t key = SplitMix64(name_hash(weight.name) ^ SplitMix64(seed_).next()).next();
    auto fill_range = [&](int64_t begin, int64_t end) { fill(table, key, out, begin, end); };
    if (pool_ != nullptr)
      pool_->parallel_for(count, 4096, fill_range);
    else
      fill_range(0, count);
  }

  uint64_t seed_;
  ComputePool* pool_;
};

}  // namespace

std::unique_ptr<Checkpoint> make_dummy_checkpoint(std::span<const TensorSpec> list, DType dtype,
                                                  uint64_t seed, ComputePool* pool) {
  std::vector<StoredTensor> tensors;
  for (StoredShape& stored : stored_shapes(list)) {
    if (stored.optional) continue;
    StoredTensor& tensor = tensors.emplace_back();
    tensor.name = std::move(stored.name);
    tensor.file = "(dummy weights)";
    tensor.dtype = dtype;
    tensor.shape = std::move(stored.shape);
  }
  return std::make_unique<DummyCheckpoint>(std::move(tensors), seed, pool);
}

}  // namespace pagoda
