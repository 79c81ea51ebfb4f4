#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace pagoda {
namespace {

TEST(Hash, IsXxh3) {  // published: the hash of nothing, seed 0
  EXPECT_EQ(hash128("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_NE(hash128("a"), hash128("b"));
}

TEST(Hash, InParallelItDependsOnEveryByteAndNotOnTheThreads) {
  ComputePool one(1), three(3);
  for (std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4} << 20, (std::size_t{9} << 20) + 5}) {
    std::string bytes(size, 'x');
    auto hash = [&](ComputePool& pool) { return parallel_hash128(std::as_bytes(std::span(bytes)), pool); };
    const Hash128 before = hash(one);
    EXPECT_EQ(before, hash(three));
    for (std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
      if (size == 0) break;
      bytes[at] ^= 1;
      EXPECT_NE(hash(three), before) << at << " of " << size;
      bytes[at] ^= 1;
    }
  }
}

}  // namespace
}  // namespace pagoda
