#include "weights/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/excerpt.h"
#include "base/file_content.h"
#include "base/json.h"
#include "base/mmap.h"
#include "weights/safetensors.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::size_t kIndexBytesMax = 100'000'000, kShardsMax = 10'000, kIndexValuesMax = 2'000'000;
constexpr std::size_t kNameShown = 200;

class SafetensorsCheckpoint : public Checkpoint {
 public:
  SafetensorsCheckpoint(std::vector<StoredTensor> tensors, std::vector<MappedFile> files)
      : Checkpoint(std::move(tensors)), files_(std::move(files)) {
    std::sort(files_.begin(), files_.end(), [](const MappedFile& a, const MappedFile& b) {
      return std::less()(a.bytes().data(), b.bytes().data());
    });
  }

  void release(std::span<const std::byte> bytes) const override {
    const std::byte* at = bytes.data();
    auto behind = std::upper_bound(
        files_.begin(), files_.end(), at,
        [](const std::byte* byte, const MappedFile& file) { return std::less()(byte, file.bytes().data()); });
    if (bytes.empty() || behind == files_.begin()) return;
    const MappedFile& file = *std::prev(behind);
    const auto offset = static_cast<std::size_t>(at - file.bytes().data());
    if (offset >= file.bytes().size()) return;  // memory of their own
    file.release(offset, bytes.size());
  }

 private:
  std::vector<MappedFile> files_;  // by address; none: the bytes are the caller's
};

Result<std::unique_ptr<Checkpoint>> open_files(const std::vector<std::string>& paths) {
  std::vector<StoredTensor> tensors;
  std::vector<MappedFile> files;
  std::unordered_map<std::string, std::string> file_of;
  for (const std::string& path : paths) {
    PAGODA_TRY(MappedFile file, MappedFile::open(path));
    PAGODA_TRY(std::vector<StoredTensor> found, parse_safetensors(file.bytes(), path));
    for (StoredTensor& tensor : found) {
      auto [other, is_new] = file_of.emplace(tensor.name, path);
      if (!is_new)
        return invalid_argument(
            fmt::format("tensor '{}' is in both '{}' and '{}', and no {} says which one counts", tensor.name,
                        other->second, path, kIndexName));
      tensors.push_back(std::move(tensor));
    }
    files.push_back(std::move(file));
  }
  return std::unique_ptr<Checkpoint>(new SafetensorsCheckpoint(std::move(tensors), std::move(files)));
}

// A shard must be a plain name of a file in the folder itself.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

// weight_map of the index: tensor name -> shard.
Result<std::unordered_map<std::string, std::string>> read_weight_map(const std::string& index_path) {
  PAGODA_TRY(std::string text, read_file(index_path, kIndexBytesMax));
  PAGODA_RETURN_IF_ERROR(check_content(text, index_path));
  Result<Value> index =
      parse_json(text, {.depth_max = 16, .values_max = kIndexValuesMax, .reject_duplicate_keys = true});
  if (!index.ok()) return std::move(index).status().with_context("'" + index_path + "'");
  const Value* map = index->find("weight_map");
  if (map == nullptr || !map->is_object())
    return invalid_argument("'" + index_path + "': `weight_map` is missing or not an object");
  std::unordered_map<std::string, std::string> shard_of;
  for (const Member& member : map->as_object()) {
    if (!member.value.is_string())
      return invalid_argument(fmt::format("'{}': the shard of tensor '{}' is not a string", index_path,
                                          excerpt(member.key, kNameShown)));
    if (!is_plain_name(member.value.as_string()))
      return invalid_argument(
          fmt::format("'{}': shard {} of tensor '{}' is refused: expected the plain name of a file "
                      "in the same folder",
                      index_path, json_excerpt(member.value, kNameShown), excerpt(member.key, kNameShown)));
    shard_of.emplace(member.key, member.value.as_string());
  }
  return shard_of;
}

Result<std::unique_ptr<Checkpoint>> open_sharded(const fs::path& folder) {
  const std::string index_path = (folder / kIndexName).string();
  PAGODA_TRY(auto shard_of, read_weight_map(index_path));
  std::map<std::string, std::vector<StoredTensor>> shards;
  for (const auto& [name, shard] : shard_of) shards[shard];
  if (shards.size() > kShardsMax)
    return invalid_argument(
        fmt::format("'{}' names {} shards, at most {} are read", index_path, shards.size(), kShardsMax));

  std::vector<MappedFile> files;
  std::vector<StoredTensor> tensors;
  std::unordered_map<std::string, const std::string*> seen;  // tensor -> shard
  for (const auto& [shard, unused] : shards) {
    const std::string path = (folder / shard).string();
    Result<MappedFile> file = MappedFile::open(path);
    if (!file.ok()) return std::move(file).status().with_context("a shard named by '" + index_path + "'");
    PAGODA_TRY(std::vector<StoredTensor> found, parse_safetensors(file->bytes(), path));
    for (StoredTensor& tensor : found) {
      auto listed = shard_of.find(tensor.name);
      if (listed != shard_of.end() && listed->second != shard)
        continue;  // the index says that the other one counts
      auto [other, is_new] = seen.emplace(tensor.name, &shard);
      if (!is_new)
        return invalid_argument(
            fmt::format("tensor '{}' is in both '{}' and '{}', and '{}' does not say which one counts",
                        tensor.name, *other->second, shard, index_path));
      tensors.push_back(std::move(tensor));
    }
    files.push_back(std::move(*file));
  }
  for (const auto& [name, shard] : shard_of)
    if (!seen.contains(name))
      return invalid_argument(
          fmt::format("'{}' says that tensor '{}' is in '{}', but it is not there", index_path, name, shard));
  return std::unique_ptr<Checkpoint>(new SafetensorsCheckpoint(std::move(tensors), std::move(files)));
}

Result<std::vector<std::string>> list_safetensors(const fs::path& folder) {
  std::vector<std::string> paths;
  bool has_pickle = false;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    fs::path extension = it->path().extension();
    if (extension == ".safetensors") paths.push_back(it->path().string());
    has_pickle |= extension == ".bin" || extension == ".pth" || extension == ".pt";
  }
  if (error) return io_error("cannot list '" + folder.string() + "': " + error.message());
  if (paths.empty())
    return not_found(
        "no weights in '" + folder.string() + "': expected model.safetensors, or " + kIndexName +
        " with its shards" +
        (has_pickle ? "; PyTorch files (.bin, .pth) are not read, because reading them can run code: convert "
                      "them to safetensors"
                    : ""));
  std::sort(paths.begin(), paths.end());
  return paths;
}

float widen(DType dtype, const std::byte* at) {
  uint16_t half;
  if (dtype == DType::kF32) {
    float number;
    std::memcpy(&number, at, sizeof number);
    return number;
  }
  if (dtype == DType::kF64) {
    double number;
    std::memcpy(&number, at, sizeof number);
    return static_cast<float>(number);
  }
  std::memcpy(&half, at, sizeof half);
  return dtype == DType::kBF16 ? bf16_to_float(half) : f16_to_float(half);
}

}  // namespace

bool is_float_kind(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Checkpoint::Checkpoint(std::vector<StoredTensor> tensors) : tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  auto it =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const StoredTensor& tensor, std::string_view key) { return tensor.name < key; });
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

Result<Weight> Checkpoint::weight(std::string_view name) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) return invalid_argument(fmt::format("the checkpoint has no tensor '{}'", name));
  int64_t rows = 1;
  const int64_t columns = tensor->shape.empty() ? 1 : tensor->shape.back();
  for (std::size_t i = 0; i + 1 < tensor->shape.size(); ++i) rows *= tensor->shape[i];
  return plain_weight(tensor->name, tensor->dtype, rows, columns, tensor->data);
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return open_files({path});
  fs::path folder(path);
  // A link to nothing counts: it is an error, not absent.
  auto is_there = [&](const char* name) { return fs::exists(fs::symlink_status(folder / name, error)); };
  if (is_there(kIndexName)) return open_sharded(folder);
  if (is_there("model.safetensors")) return open_files({(folder / "model.safetensors").string()});
  PAGODA_TRY(std::vector<std::string> paths, list_safetensors(folder));
  return open_files(paths);
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::from_bytes(std::span<const std::byte> bytes,
                                                           const std::string& name) {
  PAGODA_TRY(std::vector<StoredTensor> tensors, parse_safetensors(bytes, name));
  return std::unique_ptr<Checkpoint>(new SafetensorsCheckpoint(std::move(tensors), {}));
}

Result<std::vector<float>> read_floats(const Checkpoint& checkpoint, std::string_view name) {
  PAGODA_TRY(const Weight from, checkpoint.weight(name));
  if (from.quant.scheme != QuantScheme::kNone || !is_float_kind(from.dtype))
    return invalid_argument(fmt::format("tensor '{}' of '{}': expected F32, F16, BF16 or F64, found {}",
                                        from.name, checkpoint.find(name)->file, dtype_name(from.dtype)));
  PAGODA_RETURN_IF_ERROR(check_weight(from));
  std::vector<float> numbers;
  numbers.reserve(static_cast<std::size_t>(from.rows * from.columns));
  for (int64_t row = 0; row < from.rows; ++row) {
    const std::byte* at = from.data.data() + row * from.row_stride;
    for (int64_t i = 0; i < from.columns; ++i, at += dtype_bytes(from.dtype))
      numbers.push_back(widen(from.dtype, at));
  }
  return numbers;
}

}  // namespace pagoda
