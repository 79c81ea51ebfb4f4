// A checkpoint of two made-up formats beside plain tensors, in one safetensors file. A weight NAME is stored
// as
//   NAME.codes, NAME.groups   U8 [rows, columns / 2]: two codes of 4 bits in a byte, the lower column in the
//   lower half;
//                             U8 [rows, columns / 32, 3]: of every 32 columns the scale (F16) and the zero
//                             point
//   NAME.int8, NAME.scale     I8 [rows, columns] codes; F32 [rows]
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/tiny_model.h"
#include "weights/checkpoint.h"

namespace pagoda::testing {

enum class StoredAs { kFloats, kInt8, kInt4 };

// Appends tensors to a safetensors file.
class RawTensors {
 public:
  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::string& bytes) {
    header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":")" + dtype + R"(","shape":)" +
               shape_text(shape) + R"(,"data_offsets":[)" + std::to_string(data_.size()) + "," +
               std::to_string(data_.size() + bytes.size()) + "]}";
    data_ += bytes;
  }
  // The tensor's values become what its codes stand for.
  void add(TinyTensor* tensor, StoredAs how) {
    if (how == StoredAs::kInt4) return add_int4(tensor);
    if (how == StoredAs::kInt8) return add_int8(tensor);
    add(tensor->name, "F32", tensor->shape, bytes_of(tensor->values));
  }
  std::string file() const { return safetensors_bytes(header_ + "}", data_); }

 private:
  template <class T>
  static std::string bytes_of(const std::vector<T>& numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
  }
  void add_int8(TinyTensor* tensor) {
    const auto columns = static_cast<std::size_t>(tensor->shape[1]);
    std::vector<int8_t> codes;
    std::vector<float> scales;
    for (auto row = tensor->values.begin(); row != tensor->values.end(); row += tensor->shape[1]) {
      float most = 0;
      for (std::size_t i = 0; i < columns; ++i) most = std::max(most, std::abs(row[static_cast<int64_t>(i)]));
      scales.push_back(most / 127);
      for (std::size_t i = 0; i < columns; ++i) {
        float& number = row[static_cast<int64_t>(i)];
        codes.push_back(static_cast<int8_t>(std::lround(number / scales.back())));
        number = scales.back() * static_cast<float>(codes.back());
      }
    }
    add(tensor->name + ".int8", "I8", tensor->shape, bytes_of(codes));
    add(tensor->name + ".scale", "F32", {tensor->shape[0]}, bytes_of(scales));
  }
  void add_int4(TinyTensor* tensor) {
    std::vector<uint8_t> codes, groups;
    for (auto group = tensor->values.begin(); group != tensor->values.end(); group += 32) {
      const auto [low, high] = std::minmax_element(group, group + 32);
      const uint16_t bits = float_to_f16(std::max((*high - *low) / 15, 1e-3f));
      const float scale = f16_to_float(bits);
      const auto zero = static_cast<uint8_t>(std::clamp<long>(std::lround(-*low / scale), 0, 15));
      for (int i = 0; i < 32; ++i) {
        const long code = std::clamp<long>(std::lround(group[i] / scale) + zero, 0, 15);
        if (i % 2 == 0) codes.push_back(0);
        codes.back() = static_cast<uint8_t>(codes.back() | code << (i % 2 * 4));
        group[i] = scale * static_cast<float>(code - zero);
      }
      groups.insert(groups.end(), {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8), zero});
    }
    const std::vector<int64_t>& shape = tensor->shape;
    add(tensor->name + ".codes", "U8", {shape[0], shape[1] / 2}, bytes_of(codes));
    add(tensor->name + ".groups", "U8", {shape[0], shape[1] / 32, 3}, bytes_of(groups));
  }

  std::string header_, data_;
};

class GroupedCheckpoint : public Checkpoint {
 public:
  // bytes: of a file, which outlives this.
  static std::unique_ptr<Checkpoint> open(const std::string& bytes) {
    auto files = Checkpoint::from_bytes(std::as_bytes(std::span(bytes)), "memory").value();
    return std::unique_ptr<Checkpoint>(new GroupedCheckpoint(std::move(files)));
  }
  const std::vector<StoredTensor>& stored() const override { return files_->tensors(); }
  void release(std::span<const std::byte> bytes) const override { files_->release(bytes); }

  Result<Weight> weight(std::string_view name) const override {
    const StoredTensor* tensor = find(name);
    if (tensor == nullptr || tensor->quant.scheme == QuantScheme::kNone) return files_->weight(name);
    Weight weight = plain_weight(tensor->name, tensor->dtype, tensor->shape[0], tensor->shape[1], {});
    weight.quant = tensor->quant;
    weight.row_stride = weight.row_bytes();
    if (tensor->quant.bits == 8) {
      weight.data = files_->find(weight.name + ".int8")->data;
      weight.scales = files_->find(weight.name + ".scale")->data;
      return weight;
    }
    weight.data = files_->find(weight.name + ".codes")->data;
    const std::span<const std::byte> groups = files_->find(weight.name + ".groups")->data;
    const std::size_t count = groups.size() / 3;
    auto apart = std::make_shared<std::vector<std::byte>>(groups.size());  // scales, then zero points
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(apart->data() + 2 * i, groups.data() + 3 * i, 2);
      (*apart)[2 * count + i] = groups[3 * i + 2];
    }
    weight.scale_dtype = DType::kF16;
    weight.scales = std::span(*apart).first(2 * count);
    weight.zeros = std::span(*apart).subspan(2 * count);
    weight.owner = std::move(apart);
    return weight;
  }

 private:
  explicit GroupedCheckpoint(std::unique_ptr<Checkpoint> files)
      : Checkpoint(weights_of(*files)), files_(std::move(files)) {}

  static std::vector<StoredTensor> weights_of(const Checkpoint& files) {
    std::vector<StoredTensor> weights;
    for (StoredTensor tensor : files.tensors()) {
      auto named = [&](const std::string& end) {
        if (!tensor.name.ends_with(end)) return false;
        tensor.name.resize(tensor.name.size() - end.size());
        return true;
      };
      if (tensor.name.ends_with(".groups") || tensor.name.ends_with(".scale")) continue;
      if (named(".int8")) {
        tensor.quant = {QuantScheme::kGrouped, 8, 1, 0};
      } else if (named(".codes")) {
        tensor.quant = {QuantScheme::kGrouped, 4, 1, 32, true};
        tensor.shape[1] *= 2;
      }
      weights.push_back(std::move(tensor));
    }
    return weights;
  }

  std::unique_ptr<Checkpoint> files_;
};

}  // namespace pagoda::testing
