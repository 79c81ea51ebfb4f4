#include "kv_events/kv_event_wire.h"

#include <fmt/format.h>
#include <msgpuck.h>

#include <string_view>

#include "base/check.h"

namespace pagoda {
namespace {

// Where blocks of the cache are; vLLM's only word for it, and what routers weigh highest.
constexpr std::string_view kMedium = "GPU";

std::string hex(std::span<const uint8_t> bytes) {
  std::string digits;
  for (uint8_t byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

// msgpack into a string that grows.
class Writer {
 public:
  void array(std::size_t size) { head(mp_encode_array(scratch_, static_cast<uint32_t>(size))); }
  void map(std::size_t size) { head(mp_encode_map(scratch_, static_cast<uint32_t>(size))); }
  void number(uint64_t value) { head(mp_encode_uint(scratch_, value)); }
  void integer(int64_t value) {
    value < 0 ? head(mp_encode_int(scratch_, value)) : number(static_cast<uint64_t>(value));
  }
  void real(double value) { head(mp_encode_double(scratch_, value)); }
  void nil() { head(mp_encode_nil(scratch_)); }
  void text(std::string_view value) {
    head(mp_encode_strl(scratch_, static_cast<uint32_t>(value.size())));
    out_ += value;
  }
  void bytes(std::span<const uint8_t> value) {
    head(mp_encode_binl(scratch_, static_cast<uint32_t>(value.size())));
    out_.append(reinterpret_cast<const char*>(value.data()), value.size());
  }
  std::string take() { return std::move(out_); }

 private:
  void head(const char* end) { out_.append(scratch_, static_cast<std::size_t>(end - scratch_)); }
  char scratch_[16];  // the longest head or number has 9 bytes
  std::string out_;
};

class EventWriter {
 public:
  explicit EventWriter(const KvEventFormat& format) : format_(format) {
    PAGODA_CHECK(format.hash_bytes >= 8 && format.hash_bytes <= 32, "a block's hash has 8 to 32 bytes");
  }

  std::string batch(double timestamp, std::span<const KvEvent> events) {
    out_.array(3);
    out_.real(timestamp);
    out_.array(events.size());
    for (const KvEvent& event : events) write(event);
    out_.number(static_cast<uint64_t>(format_.data_parallel_rank));
    return out_.take();
  }

 private:
  void write(const KvEvent& event) {
    switch (event.kind) {
      case KvEvent::Kind::kStored:
        return stored(event);
      case KvEvent::Kind::kRemoved:
        return removed(event);
      case KvEvent::Kind::kCleared:
        return begin("AllBlocksCleared", 0);
    }
  }

  // vLLM leaves out fields that have their default: what follows lora_name.
  void stored(const KvEvent& event) {
    const bool is_windowed = format_.window > 0, has_extra_keys = !event.extra_keys.empty();
    const std::size_t num_group_fields = format_.array_events ? 0 : is_windowed ? 3 : 2;
    begin("BlockStored", 7 + (has_extra_keys ? 1 : 0) + num_group_fields);
    field("block_hashes");
    hashes(event);
    field("parent_block_hash");
    event.parent ? hash(*event.parent) : out_.nil();
    field("token_ids");
    out_.array(event.tokens.size());
    for (TokenId token : event.tokens) out_.number(static_cast<uint64_t>(token));
    field("block_size");
    out_.number(static_cast<uint64_t>(event.block_size));
    field("lora_id");
    event.lora_id != 0 ? out_.number(event.lora_id) : out_.nil();
    field("medium");
    out_.text(kMedium);
    field("lora_name");
    out_.nil();
    if (has_extra_keys) extra_keys(event);
    if (format_.array_events) return;
    field("group_idx");
    out_.number(0);
    field("kv_cache_spec_kind");
    out_.text(is_windowed ? "sliding_window" : "full_attention");
    if (!is_windowed) return;
    field("kv_cache_spec_sliding_window");
    out_.number(static_cast<uint64_t>(format_.window));
  }

  // Of each block nil, or [[identifier, offset], ...]; an identifier is the hash in hexadecimal digits.
  void extra_keys(const KvEvent& event) {
    field("extra_keys");
    out_.array(event.keys.size());
    std::span<const KvEvent::Extra> left = event.extra_keys;
    for (int32_t block = 0; block < std::ssize(event.keys); ++block) {
      std::size_t count = 0;
      while (count < left.size() && left[count].block == block) ++count;
      if (count == 0) {
        out_.nil();
        continue;
      }
      out_.array(count);
      for (const KvEvent::Extra& extra : left.first(count)) {
        out_.array(2);
        out_.text(hex(extra.hash));
        out_.integer(extra.offset);
      }
      left = left.subspan(count);
    }
  }

  void removed(const KvEvent& event) {
    begin("BlockRemoved", format_.array_events ? 2 : 3);
    field("block_hashes");
    hashes(event);
    field("medium");
    out_.text(kMedium);
    if (format_.array_events) return;
    field("group_idx");
    out_.number(0);
  }

  void begin(std::string_view type, std::size_t num_fields) {
    if (format_.array_events) {
      out_.array(num_fields + 1);
    } else {
      out_.map(num_fields + 1);
      out_.text("type");
    }
    out_.text(type);
  }
  void field(std::string_view name) {
    if (!format_.array_events) out_.text(name);
  }
  void hashes(const KvEvent& event) {
    out_.array(event.keys.size());
    for (const BlockKey& key : event.keys) hash(key);
  }
  void hash(const BlockKey& key) {
    const auto used = std::span(key.bytes).first(static_cast<std::size_t>(format_.hash_bytes));
    if (!format_.int_hashes) return out_.bytes(used);
    uint64_t low = 0;
    for (uint8_t byte : used.last(8)) low = low << 8 | byte;
    out_.number(low);
  }

  const KvEventFormat format_;
  Writer out_;
};

}  // namespace

std::string encode_kv_events(double timestamp, std::span<const KvEvent> events, const KvEventFormat& format) {
  return EventWriter(format).batch(timestamp, events);
}

}  // namespace pagoda
