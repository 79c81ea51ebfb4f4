#include "layers/linear.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace pagoda {
namespace {

// Some rows of a tensor of the checkpoint, and what they are packed in.
struct RowRange {
  const StoredTensor* stored;
  int64_t begin, count;
  WeightFormat format;
  bool is_whole() const { return count == stored->shape[0]; }
};

bool same_format(const RowRange& a, const RowRange& b) {
  return a.format == b.format;
}

Result<RowRange> find(const WeightSource& source, TensorRole role, const TensorSource& tensor) {
  const StoredTensor* stored = source.checkpoint.find(tensor.name);
  if (stored == nullptr) return invalid_argument("the checkpoint has no tensor '" + tensor.name + "'");
  const int64_t count = tensor.num_rows > 0 ? tensor.num_rows : stored->shape[0];
  PAGODA_CHECK(tensor.row_begin + count <= stored->shape[0], "rows of the tensor");
  return RowRange{stored, tensor.row_begin, count, source.formats.of(role, stored)};
}

// Neighbouring slices of a stored tensor are one range, but for those that a gated weight tells apart.
Result<std::vector<RowRange>> find_rows(const WeightSource& source,
                                        std::span<const TensorSpec* const> tensors, bool gated) {
  std::vector<RowRange> ranges;
  for (const TensorSpec* tensor : tensors)
    for (const TensorSource& part : tensor->sources) {
      PAGODA_TRY(RowRange range, find(source, tensor->role, part));
      PAGODA_CHECK(range.stored->shape.size() == 2, "a weight is a matrix");
      const bool continues = !ranges.empty() && ranges.back().stored == range.stored &&
                             ranges.back().begin + ranges.back().count == range.begin;
      if (continues && !gated)
        ranges.back().count += range.count;
      else
        ranges.push_back(range);
    }
  return ranges;
}

// Where formats differ, plain numbers hold them all.
void make_one_format(std::vector<RowRange>* ranges, DType dtype) {
  const auto differing = std::adjacent_find(ranges->begin(), ranges->end(), std::not_fn(same_format));
  if (differing == ranges->end()) return;
  for (RowRange& range : *ranges) range.format = unquantized(dtype);
}

// Neighbours of one format.
std::vector<std::span<const RowRange>> runs_of(std::span<const RowRange> ranges) {
  std::vector<std::span<const RowRange>> runs;
  while (!ranges.empty()) {
    const auto end = std::adjacent_find(ranges.begin(), ranges.end(), std::not_fn(same_format));
    const std::size_t length =
        end == ranges.end() ? ranges.size() : static_cast<std::size_t>(end - ranges.begin()) + 1;
    runs.push_back(ranges.first(length));
    ranges = ranges.subspan(length);
  }
  return runs;
}

// What a packed weight is kept under: the names of its parts.
std::string store_name(std::span<const RowRange> ranges) {
  std::string text;
  for (const RowRange& range : ranges) {
    text += (text.empty() ? "" : " ") + range.stored->name;
    if (!range.is_whole())
      text += "[" + std::to_string(range.begin) + ":" + std::to_string(range.begin + range.count) + "]";
  }
  return text;
}

Result<std::vector<Weight>> read(const Checkpoint& checkpoint, std::span<const RowRange> ranges) {
  std::vector<Weight> slices;
  Weight whole;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i == 0 || ranges[i].stored != ranges[i - 1].stored) {
      PAGODA_TRY(whole, checkpoint.weight(ranges[i].stored->name));
      PAGODA_RETURN_IF_ERROR(check_weight(whole));
    }
    slices.push_back(whole.rows_of(ranges[i].begin, ranges[i].count));
  }
  return slices;
}

// Ranges of one format as one packed weight: the store's, or made and given to it.
Result<std::unique_ptr<PackedWeight>> pack(const WeightSource& source, std::span<const RowRange> ranges,
                                           bool gated) {
  PackedWeight::Header header{.k = ranges[0].stored->shape[1], .format = ranges[0].format, .is_gated = gated};
  for (const RowRange& range : ranges) header.n += range.count;
  const std::string name = store_name(ranges);
  if (source.store != nullptr)
    if (std::unique_ptr<PackedWeight> kept = source.store->find(name, header)) return kept;

  PAGODA_TRY(const std::vector<Weight> slices, read(source.checkpoint, ranges));
  PAGODA_TRY(std::unique_ptr<PackedWeight> packed, pack_weight(slices, header.format, gated, source.stream));
  for (const Weight& slice : slices)
    for (const std::span<const std::byte> bytes : {slice.data, slice.scales, slice.zeros})
      source.checkpoint.release(bytes);
  if (source.store != nullptr) source.store->add(name, *packed);
  return packed;
}

std::size_t round_to_line(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

Result<std::vector<float>> load_vector(const WeightSource& source, const TensorSpec& tensor) {
  std::vector<float> vector;
  for (const TensorSource& part : tensor.sources) {
    PAGODA_TRY(const RowRange range, find(source, tensor.role, part));
    PAGODA_TRY(std::vector<float> numbers, read_floats(source.checkpoint, range.stored->name));
    vector.insert(vector.end(), numbers.begin() + range.begin, numbers.begin() + range.begin + range.count);
  }
  return vector;
}

Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source, const TensorSpec& tensor) {
  const TensorSpec* const tensors[] = {&tensor};
  PAGODA_TRY(std::vector<RowRange> ranges, find_rows(source, tensors, false));
  make_one_format(&ranges, source.formats.dtype);
  return pack(source, ranges, false);
}

Result<Linear> Linear::load(const WeightSource& source, std::initializer_list<TensorRole> roles, bool gated,
                            int32_t expert) {
  std::vector<float> biases;
  std::vector<const TensorSpec*> weights;
  for (TensorRole role : roles) {
    weights.push_back(find_tensor(source.tensors, role, expert));
    PAGODA_CHECK(weights.back() != nullptr, "a matrix of the list");
    const TensorSpec* bias = find_tensor(source.tensors, role, expert, true);
    if (bias == nullptr) continue;
    PAGODA_TRY(std::vector<float> numbers, load_vector(source, *bias));
    biases.insert(biases.end(), numbers.begin(), numbers.end());
  }
  PAGODA_TRY(std::vector<RowRange> ranges, find_rows(source, weights, gated));
  if (gated || runs_of(ranges).size() > kLinearPartsMax) make_one_format(&ranges, source.formats.dtype);

  Linear linear;
  int64_t num_outputs = 0;
  for (const std::span<const RowRange> run : runs_of(ranges)) {
    PackedPart& part = linear.parts_.emplace_back();
    PAGODA_TRY(part.weight, pack(source, run, gated));
    if (part.weight->k() != linear.parts_[0].weight->k())
      return invalid_argument("'" + run[0].stored->name + "' and '" + ranges[0].stored->name +
                              "' are multiplied together and must agree in columns");
    num_outputs += part.weight->n();
  }
  if (biases.empty()) return linear;
  if (static_cast<int64_t>(biases.size()) != num_outputs)
    return invalid_argument("the biases of '" + weights[0]->sources[0].name + "' have " +
                            std::to_string(biases.size()) + " numbers for " + std::to_string(num_outputs) +
                            " outputs");
  std::span<const float> rest = biases;
  for (PackedPart& part : linear.parts_) {
    const auto count = static_cast<std::size_t>(part.weight->n());
    part.bias = pack_bias(*part.weight, rest.first(count), source.stream);
    rest = rest.subspan(count);
  }
  return linear;
}

LinearInput Linear::input(const DeviceBuffer& room, int64_t num_tokens) const {
  LinearInput input(num_tokens);
  DeviceSpan<std::byte> memory = room.span<std::byte>();
  for (const PackedPart& part : parts_) {
    input.add(make_input(*part.weight, memory, num_tokens));
    const auto bytes = static_cast<int64_t>(round_to_line(pagoda::input_bytes(*part.weight, num_tokens)));
    memory = {memory.data + bytes, memory.size - bytes};
  }
  return input;
}

std::size_t Linear::input_bytes(int64_t num_tokens) const {
  std::size_t bytes = 0;
  for (const PackedPart& part : parts_) bytes += round_to_line(pagoda::input_bytes(*part.weight, num_tokens));
  return bytes;
}

void Linear::forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, ComputeStream& stream) const {
  auto product = [&](const Tensor& out, std::size_t i) {
    const PackedPart& part = parts_[i];
    matmul(out, x.forms()[i], *part.weight, part.bias.span<const float>(), epilogue, stream);
  };
  if (parts_.size() == 1) return product(y, 0);
  int64_t begin = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    product(columns_of(y, begin, parts_[i].weight->n()), i);
    begin += parts_[i].weight->n();
  }
}

std::size_t Linear::bytes() const {
  std::size_t bytes = 0;
  for (const PackedPart& part : parts_) bytes += part.weight->bytes();
  return bytes;
}

}  // namespace pagoda
