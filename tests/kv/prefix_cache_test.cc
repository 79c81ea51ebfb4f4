#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "kv/kv_manager.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

using Tokens = std::vector<TokenId>;

Tokens count_up(int count, int from = 0) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(from + i);
  return tokens;
}

std::string hex(const BlockKey& key) {
  std::string out;
  for (uint8_t byte : key.bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

// A sequence that has computed all of its tokens.
void compute(KvManager* kv, SeqKv* seq, const Tokens& tokens, const CacheScope& scope = {}) {
  const int32_t computed = kv->match(seq, tokens, scope);
  ASSERT_TRUE(kv->reserve(seq, computed, static_cast<int32_t>(tokens.size())));
  kv->cache_blocks(seq, tokens, 0, static_cast<int32_t>(tokens.size()), scope);
}

int match_alone(KvManager* kv, const Tokens& tokens, const CacheScope& scope = {}) {
  SeqKv seq;
  const int found = kv->match(&seq, tokens, scope);
  kv->release(&seq);
  return found;
}

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class PrefixCache : public ::testing::TestWithParam<BlockHashAlgo> {
 protected:
  PrefixCacheConfig config() const { return {.hash_algo = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Hashes, PrefixCache,
                         ::testing::Values(BlockHashAlgo::kSha256, BlockHashAlgo::kSha256Cbor,
                                           BlockHashAlgo::kXxhash));

TEST_P(PrefixCache, FindsFullBlocksButNeverTheLastToken) {
  KvManager kv({testing::full_group(4)}, 20, config());
  SeqKv first;
  const Tokens tokens = count_up(14);
  compute(&kv, &first, tokens);
  EXPECT_EQ(kv.num_cached(), 3);
  for (auto [length, found] :
       {std::pair{1, 0}, {4, 0}, {5, 4}, {8, 4}, {9, 8}, {12, 8}, {13, 12}, {14, 12}}) {
    EXPECT_EQ(match_alone(&kv, Tokens(tokens.begin(), tokens.begin() + length)), found) << length;
  }
  Tokens other = tokens;
  other[5] = 99;
  EXPECT_EQ(match_alone(&kv, other), 4);
  other[0] = 99;
  EXPECT_EQ(match_alone(&kv, other), 0);

  SeqKv second;
  EXPECT_EQ(kv.match(&second, tokens, {}), 12);
  EXPECT_EQ(second.groups[0].blocks,
            std::vector<BlockId>(first.groups[0].blocks.begin(), first.groups[0].blocks.begin() + 3));
  const SeqKv* both[] = {&first, &second};
  kv.check(both);
  EXPECT_EQ(kv.num_exclusive(first), 1);
  EXPECT_EQ(kv.num_exclusive(second), 0);
}

// Ten blocks of four tokens; an image where their tokens are the same.
TEST_P(PrefixCache, AnImageSaltsItsBlockAndAllBehindIt) {
  const Tokens tokens = count_up(41);
  const auto image = sha256(bytes_of("image")), other = sha256(bytes_of("other"));
  struct Case {
    std::vector<ExtraKey> cached, asked;
    int32_t matched;  // blocks
  };
  const Case cases[] = {
      {{{29, 31, image}}, {{29, 31, image}}, 10},
      {{{29, 31, image}}, {}, 7},
      {{}, {{29, 31, image}}, 7},
      {{{29, 31, image}}, {{29, 31, other}}, 7},
      {{{29, 31, image}}, {{30, 32, image}}, 7},
      {{{23, 33, image}}, {{23, 33, other}}, 5},
      {{{0, 4, image}}, {{0, 4, other}}, 0},
      {{{4, 8, image}, {39, 40, image}}, {{4, 8, image}, {39, 40, other}}, 9},
      {{{4, 8, image}, {8, 12, other}}, {{4, 8, image}}, 2},
      {{}, {{40, 41, image}}, 10},
  };
  for (const Case& c : cases) {
    KvManager kv({{.block_size = 4}}, 20, config());
    SeqKv seq;
    compute(&kv, &seq, tokens, {.extra_keys = c.cached});
    EXPECT_EQ(match_alone(&kv, tokens, {.extra_keys = c.asked}), 4 * c.matched) << &c - cases;
    EXPECT_EQ(match_alone(&kv, tokens, {.extra_keys = c.cached}), 40) << &c - cases;
  }
}

TEST_P(PrefixCache, ContentOutlivesItsOwnerUntilTheBlocksAreNeededTailFirst) {
  KvManager kv({testing::full_group(4)}, 9, config());  // 8 usable
  SeqKv seq;
  const Tokens old_tokens = count_up(17), new_tokens = count_up(9, 100);
  compute(&kv, &seq, old_tokens);  // 5 blocks, 4 full
  kv.release(&seq);
  EXPECT_EQ(kv.num_free(), 8);
  EXPECT_EQ(match_alone(&kv, old_tokens), 16);
  SeqKv other;
  compute(&kv, &other, new_tokens);  // takes blocks that cannot be found
  EXPECT_EQ(match_alone(&kv, old_tokens), 16);
  SeqKv greedy;
  ASSERT_TRUE(kv.reserve(&greedy, 0, 8));  // the last free ones without content, and one with
  EXPECT_EQ(match_alone(&kv, old_tokens), 12) << "the end of the sequence goes first";
  kv.release(&other);
  SeqKv greedier;
  ASSERT_TRUE(kv.reserve(&greedier, 0, 8));
  EXPECT_EQ(match_alone(&kv, new_tokens), 8) << "used later than the old one";
  EXPECT_LT(match_alone(&kv, old_tokens), 12);
}

TEST_P(PrefixCache, ScopesDoNotMix) {
  KvManager kv({testing::full_group(2)}, 40, config());
  CacheScope alice, bob, adapter;
  alice.salt[3] = 1;
  bob.salt[3] = 2;
  adapter.lora_id = 1;
  const Tokens tokens = count_up(7);
  SeqKv seq;
  compute(&kv, &seq, tokens, alice);
  EXPECT_EQ(match_alone(&kv, tokens, alice), 6);
  for (const CacheScope& scope : {CacheScope{}, bob, adapter}) EXPECT_EQ(match_alone(&kv, tokens, scope), 0);
}

TEST_P(PrefixCache, RequestsOfOneStepShare) {
  KvManager kv({testing::full_group(4)}, 30, config());
  SeqKv first, second;
  const Tokens tokens = count_up(30);
  EXPECT_EQ(kv.match(&first, tokens, {}), 0);
  ASSERT_TRUE(kv.reserve(&first, 0, 12));
  kv.cache_blocks(&first, tokens, 0, 12, {});  // planned, not computed yet
  EXPECT_EQ(kv.match(&second, tokens, {}), 12);
  ASSERT_TRUE(kv.reserve(&second, 12, 20));
  kv.cache_blocks(&second, tokens, 0, 20, {});
  EXPECT_EQ(kv.match(&first, tokens, {}), 20) << "and in the next step the other way round";
}

TEST_P(PrefixCache, WhoStandsAtABlocksEndTakesWhatOthersHaveComputedSince) {
  KvManager kv({testing::full_group(4)}, 30, config());
  SeqKv slow, fast;
  const Tokens tokens = count_up(21);
  ASSERT_TRUE(kv.reserve(&slow, 0, 8));
  kv.cache_blocks(&slow, tokens, 0, 8, {});
  compute(&kv, &fast, tokens);
  EXPECT_EQ(kv.match(&slow, tokens, {}), 20);
  EXPECT_EQ(slow.groups[0].blocks[4], fast.groups[0].blocks[4]);
  const SeqKv* both[] = {&slow, &fast};
  kv.check(both);
}

TEST_P(PrefixCache, WindowsNeedOnlyWhatIsSeen) {
  KvManager kv({testing::full_group(2), testing::window_group(2, 4)}, 60, config());
  SeqKv seq;
  const Tokens tokens = count_up(17);
  for (int computed = 0; computed < 17; ++computed) {
    ASSERT_TRUE(kv.reserve(&seq, computed, computed + 1));
    kv.cache_blocks(&seq, tokens, 0, computed + 1, {});
  }
  SeqKv again;
  EXPECT_EQ(kv.match(&again, tokens, {}), 16);
  EXPECT_EQ(again.groups[0].num_out_of_window, 0);
  EXPECT_EQ(again.groups[1].num_out_of_window, 6) << "position 16 sees back to 13";
  const SeqKv* both[] = {&seq, &again};
  kv.check(both);
  kv.release(&again);
  // Blocks 0 .. 5 of the windowed group were given back as it moved on; take them from under the cache.
  SeqKv greedy;
  kv.release(&seq);
  ASSERT_TRUE(kv.reserve(&greedy, 0, 58));
  const int found = match_alone(&kv, tokens);
  EXPECT_LT(found, 16);
  EXPECT_EQ(found % 2, 0);
}

TEST_P(PrefixCache, WhatIsNotFitToBeReadIsForgotten) {
  KvManager kv({testing::full_group(4)}, 30, config());
  SeqKv seq;
  const Tokens tokens = count_up(21);
  compute(&kv, &seq, tokens);
  SeqKv other;
  compute(&kv, &other, count_up(9, 100));
  kv.uncache(seq);
  EXPECT_EQ(match_alone(&kv, tokens), 0);
  kv.release(&seq);
  EXPECT_EQ(kv.num_cached(), 2) << "another's content stays";
  kv.reset_prefix_cache();
  EXPECT_EQ(match_alone(&kv, tokens), 0);
  EXPECT_EQ(kv.num_cached(), 0);
  kv.check();
}

// The blocks that a window has given back are in no table, but can be found.
TEST_P(PrefixCache, WhatIsOutOfTheWindowIsForgottenToo) {
  KvManager kv({testing::window_group(2, 4)}, 30, config());
  SeqKv seq;
  const Tokens tokens = count_up(17);
  for (int computed = 0; computed < 17; ++computed) {
    ASSERT_TRUE(kv.reserve(&seq, computed, computed + 1));
    kv.cache_blocks(&seq, tokens, computed, computed + 1, {});
  }
  EXPECT_EQ(match_alone(&kv, count_up(9)), 8);
  kv.uncache(seq);
  EXPECT_EQ(match_alone(&kv, count_up(9)), 0);
  EXPECT_EQ(kv.num_cached(), 0);
}

TEST_P(PrefixCache, OffMeansOff) {
  PrefixCacheConfig off = config();
  off.enabled = false;
  KvManager kv({testing::full_group(4)}, 30, off);
  SeqKv seq;
  const Tokens tokens = count_up(21);
  compute(&kv, &seq, tokens);
  EXPECT_EQ(match_alone(&kv, tokens), 0);
  EXPECT_TRUE(seq.keys.empty());
}

TEST_P(PrefixCache, ForksPublishWhatTheyShare) {
  KvManager kv({testing::full_group(4)}, 30, config());
  SeqKv from, to;
  Tokens tokens = count_up(10);
  compute(&kv, &from, tokens);
  std::vector<BlockCopy> copies;
  ASSERT_TRUE(kv.fork(from, 10, &to, &copies));
  tokens.push_back(77);
  tokens.push_back(78);
  ASSERT_TRUE(kv.reserve(&to, 10, 12));
  kv.cache_blocks(&to, tokens, 0, 12, {});
  tokens.push_back(79);
  EXPECT_EQ(match_alone(&kv, tokens), 12);
  EXPECT_EQ(match_alone(&kv, count_up(13)), 8);
}

// tests/kv/block_keys.py computes these with Python's hashlib. Three blocks of four tokens under a scope, and
// two images: one from position 2 on into the second block, one at position 7 alone.
TEST(BlockHasher, KeysAreThoseOfTheDocumentedFormat) {
  const Tokens tokens = {1, 23, 24, 255, 256, 65535, 65536, 128000, 1, 2, 3, 4};
  CacheScope plain, scope, with_images;
  scope.lora_id = 7;
  for (uint8_t i = 0; i < 16; ++i) scope.salt[i] = i;
  const ExtraKey images[] = {{2, 6, sha256(bytes_of("image"))}, {7, 8, sha256(bytes_of("other"))}};
  with_images = scope;
  with_images.extra_keys = images;
  struct Case {
    const char* what;
    BlockHashAlgo algo;
    const CacheScope* scope;
    std::vector<std::string> keys;
  };
  const Case cases[] = {
      {"plain",
       BlockHashAlgo::kSha256,
       &plain,
       {"235c72ac15edbc7f50be68a411d95a40b745047a9ce3ed9604fd3aef5fdeb9c7",
        "3d369a23d1ccc154d60c295fbd7784112b6073cef040ab5a20d0200a7a30ec0e",
        "0a2ca03e46bf0333c8b601cc78dd1e8cd49a86c8401718a65dc87c763175977f"}},
      {"scope",
       BlockHashAlgo::kSha256,
       &scope,
       {"aad2f3e4d096219c3b8649e515c6f2e10a669e48ad82111cbe20b23737a0f3ec",
        "3aba93051f841edb6c207c1b706970f6c1ebe36534821a31c824ff12d502609f",
        "39ecbab71d4c1fd32ae2ac211a2bf69037775d382216b76a034ca26d063fe8b6"}},
      {"images",
       BlockHashAlgo::kSha256,
       &with_images,
       {"939eb245ae4051d48fe0abfe883d16cceafb1af7edc37787f8eafe1c019e0a4a",
        "b0fc215428edabb4dcf097d269e998bd66249acbbb77077cdd862677966b0a13",
        "fdf6c91583c30f47d56d057ed01603ad624f3ad722caf01207e5288d8340e5b5"}},
      {"plain, CBOR",
       BlockHashAlgo::kSha256Cbor,
       &plain,
       {"a36392a56fe33d6c74b75b6e1a53a2339f7884654660f0a281f65b1d62cdd706",
        "704b05804444de054bd2aa19697153b0f5ec263e877b0ab70634c281d6739b9e",
        "8e3c6146e6a2be1ffca9ce07b4809a8b3451a260f946c3fcbabec890452b5514"}},
      {"scope, CBOR",
       BlockHashAlgo::kSha256Cbor,
       &scope,
       {"4a290c8c0c8a35b61fe9103da7c79df5ab5f5222f35355ca122ba2caec8799ef",
        "e524800135dcc7ba97f0fa519ecae11a6d1fd81fc1dcf116388a7f230159295b",
        "58439b0beafd45c213b4aaec7b1da852da81dea722b5d9460b0b5e0b7180d023"}},
      {"images, CBOR",
       BlockHashAlgo::kSha256Cbor,
       &with_images,
       {"f413a2c60943194fbc8f670b745c5cff82b865a4e8076892a3b6674f58c360a6",
        "80ac26d0ccb14a045547314da2c6dfedbe340202200451eb16b4bea7fe9069db",
        "80e5e82a7d8179314eace69c520fe6b8132a33e580d9238ddecb86a12c437ca2"}},
  };
  for (const Case& c : cases) {
    BlockHasher hasher(c.algo, "0");
    BlockKey key = hasher.root();
    EXPECT_EQ(hex(key), "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e");
    for (int32_t i = 0; i < 3; ++i) {
      key = hasher.next(key, std::span(tokens).subspan(static_cast<std::size_t>(4 * i), 4), 4 * i, *c.scope);
      EXPECT_EQ(hex(key), c.keys[static_cast<std::size_t>(i)]) << c.what << ", block " << i;
    }
  }
}

TEST(BlockHasher, RootsAreDrawn) {
  for (BlockHashAlgo algo : {BlockHashAlgo::kSha256, BlockHashAlgo::kSha256Cbor, BlockHashAlgo::kXxhash}) {
    BlockHasher a(algo, ""), b(algo, "");
    EXPECT_NE(a.root(), b.root());
    EXPECT_EQ(BlockHasher(algo, "s").root(), BlockHasher(algo, "s").root());
  }
}

TEST(PrefixCacheEvents, TellWhatCanBeFound) {
  KvManager kv({testing::full_group(2)}, 6, {.record_events = true});
  SeqKv seq, other;
  const Tokens tokens = count_up(7);
  compute(&kv, &seq, tokens);
  std::vector<KvEvent> events;
  kv.take_events(&events);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, KvEvent::Kind::kStored);
  EXPECT_EQ(events[0].keys, seq.keys);
  EXPECT_FALSE(events[0].parent.has_value());
  EXPECT_EQ(events[0].tokens, count_up(6));
  const std::vector<BlockKey> keys = seq.keys;
  kv.release(&seq);
  ASSERT_TRUE(kv.reserve(&other, 0, 7));
  kv.reset_prefix_cache();
  events.clear();
  kv.take_events(&events);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, KvEvent::Kind::kRemoved);
  EXPECT_EQ(events[0].keys, (std::vector<BlockKey>{keys[2], keys[1]}));
  EXPECT_EQ(events[1].kind, KvEvent::Kind::kCleared);
}

TEST(PrefixCacheEvents, TellWhichContentLiesInWhichBlock) {
  KvManager kv({testing::full_group(2)}, 6, {.record_events = true});
  const ExtraKey images[] = {{1, 4, sha256(bytes_of("image"))}, {5, 6, sha256(bytes_of("other"))}};
  SeqKv seq;
  compute(&kv, &seq, count_up(9), {.extra_keys = images});
  std::vector<KvEvent> events;
  kv.take_events(&events);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].keys.size(), 4u);
  EXPECT_EQ(
      events[0].extra_keys,
      (std::vector<KvEvent::Extra>{{0, 1, images[0].hash}, {1, -1, images[0].hash}, {2, 1, images[1].hash}}));
}

// The first group loses its blocks, the second keeps them; then all is computed again.
TEST(PrefixCacheEvents, TellOfTheFirstGroupWhateverTheOthersHold) {
  KvManager kv({testing::full_group(2), testing::window_group(2, 4)}, 9, {.record_events = true});
  SeqKv seq, other;
  const Tokens tokens = count_up(5);
  std::vector<KvEvent> events;
  auto take = [&] {
    std::vector<std::pair<KvEvent::Kind, std::vector<BlockKey>>> told;
    kv.take_events(&events);
    for (const KvEvent& event : events) told.emplace_back(event.kind, event.keys);
    events.clear();
    return told;
  };
  using Told = std::vector<std::pair<KvEvent::Kind, std::vector<BlockKey>>>;
  compute(&kv, &seq, tokens);
  const std::vector<BlockKey> keys = seq.keys, backwards = {keys[1], keys[0]};
  EXPECT_EQ(take(), (Told{{KvEvent::Kind::kStored, keys}}));
  kv.release(&seq);
  ASSERT_TRUE(kv.reserve(&other, 0, 6));
  EXPECT_EQ(take(), (Told{{KvEvent::Kind::kRemoved, backwards}}));
  EXPECT_EQ(kv.num_cached(), 2);
  kv.release(&other);
  compute(&kv, &seq, tokens);
  EXPECT_EQ(kv.num_cached(), 4);
  EXPECT_EQ(take(), (Told{{KvEvent::Kind::kStored, keys}}));
}

// Against a model that knows every token of every block.
TEST_P(PrefixCache, EveryHitIsTheSamePrefix) {
  SplitMix64 random(17);
  KvManager kv({testing::full_group(2), testing::window_group(2, 6)}, 40, config());
  struct Live {
    std::unique_ptr<SeqKv> kv = std::make_unique<SeqKv>();
    Tokens tokens;
    int32_t computed = 0;
  };
  std::vector<Live> all;
  std::map<std::pair<std::size_t, BlockId>, Tokens>
      content;  // prefix up to the end of the block, when written
  int hits = 0;
  for (int step = 0; step < 20000; ++step) {
    if (all.size() < 6 && random.below(3) == 0) {
      Live live;
      for (auto count = 1 + random.below(24); count > 0; --count)
        live.tokens.push_back(static_cast<TokenId>(random.below(2)));
      live.computed = kv.match(live.kv.get(), live.tokens, {});
      hits += live.computed > 0;
      all.push_back(std::move(live));
    }
    if (all.empty()) continue;
    const std::size_t i = random.below(all.size());
    Live& live = all[i];
    const auto size = static_cast<int32_t>(live.tokens.size());
    const int32_t end = std::min<int32_t>(size, live.computed + 1 + static_cast<int32_t>(random.below(6)));
    if (live.computed < size && kv.reserve(live.kv.get(), live.computed, end)) {
      for (int32_t position = live.computed; position < end; ++position)
        for (std::size_t g = 0; g < 2; ++g)
          content[{g, live.kv->groups[g].blocks[static_cast<std::size_t>(position / 2)]}] =
              Tokens(live.tokens.begin(), live.tokens.begin() + position + 1);
      kv.cache_blocks(live.kv.get(), live.tokens, 0, end, {});
      live.computed = end;
    } else {
      kv.release(live.kv.get());
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    }
    std::vector<const SeqKv*> pointers;
    for (const Live& other : all) pointers.push_back(other.kv.get());
    kv.check(pointers);
    for (const Live& other : all) {
      for (std::size_t g = 0; g < 2; ++g) {
        const GroupTable& table = other.kv->groups.empty() ? GroupTable{} : other.kv->groups[g];
        for (std::size_t b = static_cast<std::size_t>(table.num_out_of_window); b < table.blocks.size();
             ++b) {
          const auto filled = std::min<std::size_t>(2 * b + 2, static_cast<std::size_t>(other.computed));
          if (filled <= 2 * b) continue;
          const Tokens& have = content[{g, table.blocks[b]}];
          ASSERT_EQ(have, Tokens(other.tokens.begin(), other.tokens.begin() + static_cast<long>(filled)));
        }
      }
    }
  }
  EXPECT_GT(hits, 500);
}

}  // namespace
}  // namespace pagoda
