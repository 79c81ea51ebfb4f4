#include "packed/packed_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <new>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/rng.h"

namespace pagoda {
namespace {

constexpr double kGiB = 1024. * 1024 * 1024;

// Odd sizes, so that all that pads is in it.
Hash128 packed_sample(const WeightFormat& format, bool gated, ComputeStream& stream) {
  constexpr int64_t kRows = 70, kColumns = 301;
  std::vector<float> numbers(kRows * kColumns);
  SplitMix64 random(1);
  for (float& number : numbers) number = static_cast<float>(random.uniform() - 0.5);
  const Weight part = plain_weight("sample", DType::kF32, kRows, kColumns, std::as_bytes(std::span(numbers)));
  const Weight parts[] = {part, part};
  Result<std::unique_ptr<PackedWeight>> packed = pack_weight({parts, gated ? 2u : 1u}, format, gated, stream);
  PAGODA_CHECK(packed.ok(), "every format packs a plain matrix");
  Buffer room;
  return hash128((*packed)->payload_on_host(stream.memory(), &room));
}

std::unique_ptr<PackedWeight> copy_of(const PackedWeight& weight, ComputeStream& stream) {
  Buffer room;
  const std::span<const std::byte> from = weight.payload_on_host(stream.memory(), &room);
  auto buffer = std::make_shared<Buffer>(Buffer::uninitialized(from.size()));
  auto* to = static_cast<std::byte*>(buffer->data());
  stream.pool().parallel_for(static_cast<int64_t>(from.size()), 4096, [&](int64_t begin, int64_t end) {
    std::memcpy(to + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
  });
  return adopt_packed(weight.header(), {to, from.size()}, std::move(buffer), stream);
}

}  // namespace

Hash128 packed_key(const Hash128& content, std::span<const WeightFormat> formats, ComputeStream& stream) {
  std::string text = content.hex();
  for (const WeightFormat& format : formats) {
    text += "|" + format_name(format);
    for (bool gated : {false, true}) text += packed_sample(format, gated, stream).hex();
  }
  return hash128(text);
}

PackedStore::PackedStore(const std::string& folder, const Hash128& key, bool copy, ComputeStream& stream)
    : path_((std::filesystem::path(folder) / (key.hex() + ".packed")).string()),
      copy_(copy),
      stream_(stream) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);  // what is wrong with it shows below
  Result<std::shared_ptr<const PackedFile>> file = PackedFile::open(path_, key, stream);
  if (file.ok()) {
    file_ = *std::move(file);
    if (!copy_ && !file_->keep_resident())
      log_debug("Packed weights '{}' may leave the memory while idle: ulimit -l is too small to keep them.",
                path_);
    return;
  }
  if (file.status().code() != StatusCode::kNotFound)
    log_warning("Packed weights '{}' are made anew: {}.", path_, file.status().message());
  Result<std::unique_ptr<PackedFileWriter>> writer = PackedFileWriter::create(path_, key);
  if (writer.ok())
    writer_ = *std::move(writer);
  else
    give_up(writer.status());
}

std::unique_ptr<PackedWeight> PackedStore::find(const std::string& name, const PackedWeight::Header& header) {
  if (!file_) return nullptr;
  std::unique_ptr<PackedWeight> weight = PackedFile::find(file_, name, stream_);
  if (!weight || weight->header() != header) return nullptr;
  return copy_ ? copy_of(*weight, stream_) : std::move(weight);
}

void PackedStore::add(const std::string& name, const PackedWeight& weight) {
  if (!writer_) return;
  Status status = writer_->add(name, weight, stream_);
  if (!status.ok()) give_up(status);
}

void PackedStore::finish() {
  if (file_) log_info("Packed weights: '{}', {:.2f} GiB.", path_, static_cast<double>(file_->bytes()) / kGiB);
  if (!writer_) return;
  Status status = writer_->finish();
  if (!status.ok()) return give_up(status);
  log_info("Packed weights written: '{}', {:.2f} GiB.", path_, static_cast<double>(writer_->bytes()) / kGiB);
  writer_.reset();
}

void PackedStore::give_up(const Status& status) {
  log_warning("Packed weights are not kept: {}.", status.message());
  writer_.reset();
}

}  // namespace pagoda
