#include <algorithm>
#include <array>

#include "base/rng.h"
#include "weights/expected_tensors.h"

namespace pagoda {
namespace {

constexpr float kStddev = 0.02f;
constexpr int64_t kPerCall = 4;  // numbers of one Philox call

uint64_t name_hash(std::string_view name) {  // FNV-1a
  uint64_t hash = 0xCBF29CE484222325ull;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001B3ull;
  return hash;
}

// The sum of four bytes is near enough to a normal distribution: mean 510, variance 4 (256^2 - 1) / 12.
float nearly_normal(uint32_t word) {
  constexpr float kMean = 510.0f, kSumStddev = 147.80076f;
  uint32_t sum = (word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24);
  return (static_cast<float>(sum) - kMean) * (kStddev / kSumStddev);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

class DummyCheckpoint : public Checkpoint {
 public:
  DummyCheckpoint(std::vector<StoredTensor> tensors, uint64_t seed, ComputePool* pool)
      : Checkpoint(std::move(tensors)), seed_(seed), pool_(pool) {}

  HeldTensor read(const StoredTensor& tensor) const override {
    HeldTensor held = Checkpoint::read(tensor);
    const int64_t count = held.tensor.rows * held.tensor.columns;
    held.owned = Buffer(static_cast<std::size_t>(count) * dtype_bytes(tensor.dtype));
    held.tensor.data = {static_cast<const std::byte*>(held.owned.data()), held.owned.bytes()};
    auto fill_range = [&](int64_t begin, int64_t end) { fill(tensor, held.owned.data(), begin, end); };
    if (pool_ != nullptr)
      pool_->parallel_for(count, 4096, fill_range);
    else
      fill_range(0, count);
    return held;
  }
  void release(const StoredTensor&) const override {}

 private:
  // Numbers [begin, end); begin is a multiple of kPerCall.
  void fill(const StoredTensor& tensor, void* out, int64_t begin, int64_t end) const {
    const bool ones = ends_with(tensor.name, "norm.weight");
    const uint64_t key = name_hash(tensor.name) ^ seed_ * 0x9E3779B97F4A7C15ull;
    for (int64_t i = begin; i < end; i += kPerCall) {
      auto call = static_cast<uint64_t>(i / kPerCall);
      auto words = philox4x32({static_cast<uint32_t>(call), static_cast<uint32_t>(call >> 32), 0, 0},
                              {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
      for (int64_t j = i; j < std::min(i + kPerCall, end); ++j)
        put(tensor.dtype, out, j, ones ? 1.0f : nearly_normal(words[static_cast<std::size_t>(j - i)]));
    }
  }
  static void put(DType dtype, void* out, int64_t index, float number) {
    if (dtype == DType::kF32)
      static_cast<float*>(out)[index] = number;
    else
      static_cast<uint16_t*>(out)[index] =
          dtype == DType::kBF16 ? float_to_bf16(number) : float_to_f16(number);
  }

  uint64_t seed_;
  ComputePool* pool_;
};

}  // namespace

std::unique_ptr<Checkpoint> make_dummy_checkpoint(const ExpectedTensors& expected, DType dtype, uint64_t seed,
                                                  ComputePool* pool) {
  std::vector<StoredTensor> tensors;
  for (const ExpectedTensor& want : expected.tensors) {
    StoredTensor& tensor = tensors.emplace_back();
    tensor.name = want.name;
    tensor.file = "(dummy weights)";
    tensor.dtype = dtype;
    tensor.shape = want.shape;
  }
  return std::make_unique<DummyCheckpoint>(std::move(tensors), seed, pool);
}

}  // namespace pagoda
