#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/json.h"
#include "base/rng.h"

namespace pagoda {
namespace {

struct Merge {
  uint32_t rank;
  int32_t merged;
};
using Merges = std::map<std::pair<int32_t, int32_t>, Merge>;

// By the definition: look through all pairs for the earliest merge, join its leftmost place, begin anew.
std::vector<int32_t> merge_naively(const Merges& merges, std::vector<int32_t> ids) {
  for (;;) {
    std::size_t best = ids.size();
    uint32_t best_rank = UINT32_MAX;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      auto found = merges.find({ids[i], ids[i + 1]});
      if (found == merges.end() || found->second.rank >= best_rank) continue;
      best = i;
      best_rank = found->second.rank;
    }
    if (best == ids.size()) return ids;
    ids[best] = merges.at({ids[best], ids[best + 1]}).merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeMerge, FlatAndHeapGiveWhatTheDefinitionGives) {
  SplitMix64 rng(11);
  for (int round = 0; round < 300; ++round) {
    // Tokens are strings over a small alphabet, so that merges of merges overlap in every way.
    uint64_t letters = 1 + rng.below(3);
    std::vector<std::string> tokens;
    std::map<std::string, int32_t> ids;
    for (uint64_t i = 0; i < letters; ++i) tokens.push_back(std::string(1, static_cast<char>('a' + i)));
    for (std::size_t i = 0; i < tokens.size(); ++i) ids[tokens[i]] = static_cast<int32_t>(i);
    Merges merges;
    MergeMap map;
    map.reserve(40);
    for (uint32_t rank = 0; rank < 30; ++rank) {
      auto left = static_cast<int32_t>(rng.below(tokens.size())),
           right = static_cast<int32_t>(rng.below(tokens.size()));
      std::string joined = tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
      if (merges.contains({left, right}) || joined.size() > 12) continue;
      auto [place, is_new] = ids.try_emplace(joined, static_cast<int32_t>(tokens.size()));
      if (is_new) tokens.push_back(joined);
      merges[{left, right}] = {rank, place->second};
      map.insert(left, right, rank, place->second);
    }
    for (int text = 0; text < 20; ++text) {
      std::vector<int32_t> symbols(rng.below(text < 18 ? 40 : 300));
      for (int32_t& symbol : symbols) symbol = static_cast<int32_t>(rng.below(letters));
      std::vector<int32_t> expected = merge_naively(merges, symbols), flat = symbols, heap = symbols;
      merge_symbols_flat(map, &flat, 0);
      merge_symbols_heap(map, &heap, 0);
      ASSERT_EQ(flat, expected);
      ASSERT_EQ(heap, expected);
    }
  }
}

TEST(BpeMerge, LeavesWhatStandsBefore) {
  MergeMap map;
  map.reserve(1);
  map.insert(1, 1, 0, 2);
  std::vector<int32_t> flat{1, 1, 1, 1}, heap = flat;
  merge_symbols_flat(map, &flat, 1);
  merge_symbols_heap(map, &heap, 1);
  EXPECT_EQ(flat, (std::vector<int32_t>{1, 2, 1}));
  EXPECT_EQ(heap, flat);
}

TEST(TokenMap, FindsWhatWasInserted) {
  TokenMap map;
  EXPECT_EQ(map.find("x"), -1);
  map.reserve(2000, 100);
  for (int i = 0; i < 2000; ++i) map.insert("key" + std::to_string(i), i);
  map.insert("key7", 70);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(map.find("key" + std::to_string(i)), i == 7 ? 70 : i);
  EXPECT_EQ(map.find("key"), -1);
  EXPECT_EQ(map.find(""), -1);
}

// Bytes have tokens of their own: that the unknown one is not in the vocabulary does no harm.
TEST(BpeModel, WithBytesNoUnknownTokenIsWanted) {
  const std::string rest = R"("type":"BPE","unk_token":"<unk>","vocab":{"a":0},"merges":[]})";
  const Value plain = parse_json("{" + rest).value();
  EXPECT_FALSE(BpeModel::load(plain, {}).ok());
  EXPECT_TRUE(BpeModel::load(plain, {.byte_level = true}).ok());
  EXPECT_TRUE(BpeModel::load(parse_json(R"({"byte_fallback":true,)" + rest).value(), {}).ok());
}

// Cutting before "▁" and the piece cache are shortcuts: ids are those of the text as one piece.
TEST(BpeModel, CutsChangeNothing) {
  // "b▁" is a token, so there must be no cut behind b; "a▁" is none.
  const std::string common =
      R"("type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"▁":1,"a":2,"b":3,
      "▁a":4,"▁▁":5,"b▁":6,"ab":7,"▁ab":8,"b▁a":9},"merges":["▁ ▁","a b","b ▁","▁ a","▁ ab","b▁ a"])";
  Result<Value> cut = parse_json("{" + common + "}");
  // A merge of the unknown token turns cuts off: the reference.
  Result<Value> whole = parse_json(
      R"({"type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"▁":1,"a":2,"b":3,"▁a":4,"▁▁":5,"b▁":6,
      "ab":7,"▁ab":8,"b▁a":9,"<unk><unk>":10},"merges":["▁ ▁","a b","b ▁","▁ a","▁ ab","b▁ a","<unk> <unk>"]})");
  ASSERT_TRUE(cut.ok() && whole.ok());
  auto with_cuts = BpeModel::load(*cut, {}), without = BpeModel::load(*whole, {.piece_cache = false});
  ASSERT_TRUE(with_cuts.ok() && without.ok());
  SplitMix64 rng(2);
  constexpr const char* kParts[] = {"▁", "▁", "a", "b", "x", "é"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t left = rng.below(60); left > 0; --left) text += kParts[rng.below(std::size(kParts))];
    std::vector<int32_t> ids, expected;
    with_cuts->encode(text, &ids);
    without->encode(text, &expected);
    ASSERT_EQ(ids, expected) << text;
  }
}

TEST(BpeModel, ThreadsShareOneModel) {
  Result<Value> json = parse_json(
      R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"abab":3,"ba":4},"merges":["a b","ab ab","b a"]})");
  ASSERT_TRUE(json.ok());
  auto model = BpeModel::load(*json, {});
  ASSERT_TRUE(model.ok());
  std::vector<std::vector<int32_t>> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        results[t].clear();
        for (const char* piece : {"ababab", "ba", "bbb", "abbabababbaababab"})
          model->encode(piece, &results[t]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : results) EXPECT_EQ(ids, results[0]);
}

}  // namespace
}  // namespace pagoda
