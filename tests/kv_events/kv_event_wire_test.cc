#include "kv_events/kv_event_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/kv_events/msgpack_value.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::parse_msgpack;

// Byte i of the key is first + i.
BlockKey key_from(uint8_t first) {
  BlockKey key;
  for (uint8_t& byte : key.bytes) byte = first++;
  return key;
}

std::vector<KvEvent> three_events() {
  KvEvent stored{KvEvent::Kind::kStored, {key_from(1), key_from(2)}, key_from(0), {5, 6, 7, 70000}, 2, 0};
  KvEvent removed{KvEvent::Kind::kRemoved, {key_from(1)}, {}, {}, 2, 0};
  KvEvent cleared{KvEvent::Kind::kCleared};
  return {stored, removed, cleared};
}

std::string as_json(const KvEventFormat& format, const std::vector<KvEvent>& events = three_events()) {
  return write_json(parse_msgpack(encode_kv_events(1.5, events, format)));
}

TEST(KvEventWire, EventsAreMapsWithVllmsFields) {
  EXPECT_EQ(
      as_json({}),
      R"([1.5,[{"type":"BlockStored","block_hashes":[1808788007904223008,1881128180742299681],)"
      R"("parent_block_hash":1736447835066146335,"token_ids":[5,6,7,70000],"block_size":2,"lora_id":null,)"
      R"("medium":"GPU","lora_name":null,"group_idx":0,"kv_cache_spec_kind":"full_attention"},)"
      R"({"type":"BlockRemoved","block_hashes":[1808788007904223008],"medium":"GPU","group_idx":0},)"
      R"({"type":"AllBlocksCleared"}],0])");
}

TEST(KvEventWire, EventsAreArraysForSubscribersOfOld) {
  EXPECT_EQ(as_json({.array_events = true, .data_parallel_rank = 3}),
            R"([1.5,[["BlockStored",[1808788007904223008,1881128180742299681],1736447835066146335,)"
            R"([5,6,7,70000],2,null,"GPU",null],["BlockRemoved",[1808788007904223008],"GPU"],)"
            R"(["AllBlocksCleared"]],3])");
}

TEST(KvEventWire, TellsOfWindowsAdaptersAndFirstBlocks) {
  KvEvent event{KvEvent::Kind::kStored, {key_from(9)}, {}, {1}, 1, 7};
  EXPECT_EQ(as_json({.window = 128}, {event}),
            R"([1.5,[{"type":"BlockStored","block_hashes":[2387509390608836392],"parent_block_hash":null,)"
            R"("token_ids":[1],"block_size":1,"lora_id":7,"medium":"GPU","lora_name":null,"group_idx":0,)"
            R"("kv_cache_spec_kind":"sliding_window","kv_cache_spec_sliding_window":128}],0])");
}

// Where vLLM has them, in maps by name and in arrays behind lora_name: of each block null, or what lies in
// it.
TEST(KvEventWire, TellsOfContentBesideTokens) {
  KvEvent event{KvEvent::Kind::kStored, {key_from(9), key_from(10), key_from(11)}, {}, {1, 1, 1}, 1, 0};
  event.extra_keys = {{1, 0, key_from(0xa0).bytes}, {2, -1, key_from(0xa0).bytes}, {2, 0, key_from(3).bytes}};
  const std::string image = R"(["a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",)",
                    other = R"(["030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122",0])";
  const std::string extra_keys = "[null,[" + image + "0]],[" + image + "-1]," + other + "]]";
  EXPECT_THAT(as_json({}, {event}),
              HasSubstr(R"("lora_name":null,"extra_keys":)" + extra_keys + R"(,"group_idx":0)"));
  EXPECT_THAT(as_json({.array_events = true}, {event}),
              HasSubstr(R"(1,null,"GPU",null,)" + extra_keys + "]],0]"));
}

// The name is the last eight bytes of those that are in use, as one big-endian number; or all of them.
TEST(KvEventWire, NamesBlocksByTheLowBitsOfTheirHash) {
  KvEvent event{KvEvent::Kind::kRemoved, {key_from(0xf8)}};
  auto hash = [&](const KvEventFormat& format) {
    return parse_msgpack(encode_kv_events(0, std::vector{event}, format))
        .as_array()[1]
        .as_array()[0]
        .find("block_hashes")
        ->as_array()[0];
  };
  EXPECT_EQ(hash({}).as_int(), 0x1011121314151617);
  EXPECT_EQ(hash({.hash_bytes = 16}).as_int(), 0x0001020304050607);
  EXPECT_EQ(static_cast<uint64_t>(hash({.hash_bytes = 8}).as_int()), 0xf8f9fafbfcfdfeff);  // unsigned
  const Value bytes = hash({.int_hashes = false, .hash_bytes = 16});
  EXPECT_EQ(bytes.as_string(), std::string(reinterpret_cast<const char*>(event.keys[0].bytes.data()), 16));
}

}  // namespace
}  // namespace pagoda
