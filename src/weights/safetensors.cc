#include "weights/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/excerpt.h"
#include "base/file_content.h"
#include "base/json.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr uint64_t kLengthBytes = 8, kHeaderBytesMax = 100'000'000;
constexpr std::size_t kRankMax = 16;
constexpr std::size_t kValuesMax = std::size_t{4} << 20;  // a tensor has eight

Status bad_file(const std::string& file, const std::string& what) {
  return invalid_argument(fmt::format("'{}' is not a valid safetensors file: {}", file, what));
}

// Names come from the file: keep what is printed of them short.
std::string quoted(const std::string& name) {
  constexpr std::size_t kShown = 200;
  return "'" + excerpt(name, kShown) + "'";
}

uint64_t read_u64_le(std::span<const std::byte> bytes) {
  uint64_t number = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) number |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return number;
}

struct Range {
  uint64_t begin, end;
};

// One member of the header, checked by itself.
Result<Range> parse_entry(const std::string& file, const Value& info, StoredTensor* out) {
  auto bad = [&](const std::string& what) {
    return bad_file(file, "tensor " + quoted(out->name) + ": " + what);
  };
  if (!info.is_object()) return bad(fmt::format("expected an object, found {}", info.type_name()));
  const Value* dtype = info.find("dtype");
  if (dtype == nullptr || !dtype->is_string()) return bad("`dtype` is missing or not a string");
  if (!parse_dtype_name(dtype->as_string(), &out->dtype))
    return bad("unknown dtype " + quoted(dtype->as_string()));

  const Value* shape = info.find("shape");
  if (shape == nullptr || !shape->is_array()) return bad("`shape` is missing or not a list");
  if (shape->as_array().size() > kRankMax)
    return bad(
        fmt::format("shape has {} dimensions, at most {} are read", shape->as_array().size(), kRankMax));
  uint64_t num_bytes = dtype_bytes(out->dtype);
  bool overflow = false, has_zero = false;
  for (const Value& size : shape->as_array()) {
    if (!size.is_int() || size.as_int() < 0)
      return bad("shape " + json_excerpt(*shape, kRankMax) +
                 " holds something other than sizes (0 to 2^63 - 1)");
    out->shape.push_back(size.as_int());
    has_zero |= size.as_int() == 0;
    uint64_t factor =
        std::max<uint64_t>(static_cast<uint64_t>(size.as_int()), 1);  // a zero hides no absurd size
    overflow |= __builtin_mul_overflow(num_bytes, factor, &num_bytes);
  }
  if (overflow || num_bytes > INT64_MAX)
    return bad("the size of shape " + json_excerpt(*shape, kRankMax) + " overflows");
  if (has_zero) num_bytes = 0;

  const Value* offsets = info.find("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->as_array().size() != 2)
    return bad("`data_offsets` is missing or not a pair");
  const Value &begin = offsets->as_array()[0], &end = offsets->as_array()[1];
  if (!begin.is_int() || !end.is_int() || begin.as_int() < 0 || end.as_int() < begin.as_int())
    return bad("invalid data_offsets " + json_excerpt(*offsets, 40) + ": expected 0 <= begin <= end");
  Range range{static_cast<uint64_t>(begin.as_int()), static_cast<uint64_t>(end.as_int())};
  if (range.end - range.begin != num_bytes)
    return bad(fmt::format("shape {} of {} takes {} bytes, but data_offsets [{}, {}] hold {}",
                           shape_text(out->shape), dtype_name(out->dtype), num_bytes, range.begin, range.end,
                           range.end - range.begin));
  return range;
}

Status check_metadata(const std::string& file, const Value& metadata) {
  if (!metadata.is_object()) return bad_file(file, "`__metadata__` is not an object");
  for (const Member& member : metadata.as_object())
    if (!member.value.is_string())
      return bad_file(file, "`__metadata__`: " + quoted(member.key) + " is not a string");
  return {};
}

// What stands where the header's length should be, if it is text: often an error message in the file's place.
std::string shown_text(std::span<const std::byte> bytes) {
  constexpr std::size_t kShown = 60;
  std::string text;
  for (std::byte byte : bytes.first(std::min(bytes.size(), kShown))) {
    const auto c = static_cast<char>(byte);
    if (c < ' ' || c > '~') break;
    text += c;
  }
  return text.size() < kLengthBytes ? "" : "; it begins with the text \"" + text + "\"";
}

Result<std::string_view> header_text(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < kLengthBytes)
    return bad_file(
        file, fmt::format("it has {} bytes, the header length alone takes 8: did its download break off?",
                          bytes.size()));
  PAGODA_RETURN_IF_ERROR(check_content({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file));
  uint64_t length = read_u64_le(bytes);
  if (length > kHeaderBytesMax)
    return bad_file(file, fmt::format("header length {} is over the limit of {} bytes{}", length,
                                      kHeaderBytesMax, shown_text(bytes)));
  if (length > bytes.size() - kLengthBytes)
    return bad_file(
        file, fmt::format("header length {} reaches past the end of the file ({} bytes): is it cut off?",
                          length, bytes.size()));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (!is_valid_utf8(text)) return bad_file(file, "the header is not UTF-8");
  return text;
}

}  // namespace

Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                    const std::string& file) {
  PAGODA_TRY(std::string_view text, header_text(bytes, file));
  Result<Value> header =
      parse_json(text, {.depth_max = 8, .values_max = kValuesMax, .reject_duplicate_keys = true});
  if (!header.ok()) return bad_file(file, "the header is not valid JSON: " + header.status().message());
  if (!header->is_object()) return bad_file(file, "the header is not a JSON object");

  std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  std::vector<StoredTensor> tensors;
  std::vector<std::pair<Range, std::size_t>> order;  // range -> index into tensors
  for (const Member& member : header->as_object()) {
    if (member.key == "__metadata__") {
      PAGODA_RETURN_IF_ERROR(check_metadata(file, member.value));
      continue;
    }
    StoredTensor& tensor = tensors.emplace_back();
    tensor.name = member.key;
    tensor.file = file;
    PAGODA_TRY(Range range, parse_entry(file, member.value, &tensor));
    order.push_back({range, tensors.size() - 1});
  }

  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  uint64_t used = 0;
  for (const auto& [range, index] : order) {
    if (range.begin != used)
      return bad_file(file, fmt::format("tensor {}: invalid offset {}: expected {} ({} the tensor before it)",
                                        quoted(tensors[index].name), range.begin, used,
                                        range.begin < used ? "it overlaps" : "there is a gap after"));
    if (range.end > data.size())
      return bad_file(
          file, fmt::format("tensor {} ends at byte {} of the data, but the file has only {}: is it cut off?",
                            quoted(tensors[index].name), range.end, data.size()));
    tensors[index].data = data.subspan(range.begin, range.end - range.begin);
    used = range.end;
  }
  if (used != data.size())
    return bad_file(file, fmt::format("{} bytes follow the last tensor", data.size() - used));
  return tensors;
}

}  // namespace pagoda
