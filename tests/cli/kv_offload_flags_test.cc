#include "cli/kv_offload_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

Result<KvOffloadArgs> options_of(const std::vector<std::string>& arguments) {
  PAGODA_TRY(ParsedCommand command, parse_flags(serve_flag_table(), arguments));
  PAGODA_TRY(ServeArgs options, serve_args(command));
  return options.engine.cache.offload;
}

TEST(KvOffloadFlags, ReachTheirPlace) {
  EXPECT_EQ(options_of({}).value().memory_gib, 0);
  EXPECT_EQ(options_of({"--kv-offloading-size", "0"}).value().memory_gib, 0);
  KvOffloadArgs options =
      options_of({"--kv-offloading-size", "1.5", "--kv-offloading-backend", "native"}).value();
  EXPECT_EQ(options.memory_gib, 1.5);
  EXPECT_EQ(options.path, "");
  options = options_of({"--kv-offloading-size", "4", "--kv-offloading-path", "/kept",
                        "--kv-offloading-disk-size", "100"})
                .value();
  EXPECT_EQ(options.path, "/kept");
  EXPECT_EQ(options.disk_gib, 100);
}

TEST(KvOffloadFlags, WhatCannotBeIsNamed) {
  struct Case {
    std::vector<std::string> arguments;
    const char* words;
  };
  const Case cases[] = {
      {{"--kv-offloading-backend", "lmcache"}, "native keeps evicted blocks in memory"},
      {{"--kv-offloading-backend", "other"}, "--kv-offloading-backend must be one of native"},
      {{"--kv-offloading-size", "-1"}, "--kv-offloading-size must be above 0"},
      {{"--kv-offloading-size", "1e30"}, "--kv-offloading-size"},
      {{"--kv-offloading-path", "/kept"}, "--kv-offloading-path needs --kv-offloading-size"},
      {{"--kv-offloading-disk-size", "3"}, "--kv-offloading-disk-size needs --kv-offloading-size"},
      {{"--kv-offloading-size", "1", "--kv-offloading-disk-size", "3"}, "needs --kv-offloading-path"},
      {{"--kv-offloading-size", "1", "--kv-offloading-path", ""}, "must name a folder"},
      {{"--kv-offloading-size", "1", "--kv-offloading-path", "/kept", "--kv-offloading-disk-size", "0"},
       "--kv-offloading-disk-size must be above 0"},
      {{"--kv-offloading-size", "1", "--no-enable-prefix-caching"}, "needs --enable-prefix-caching"},
      {{"--kv-offloading-size", "1", "--prefix-caching-hash-algo", "xxhash"}, "sha256"},
  };
  for (const Case& c : cases) {
    Result<KvOffloadArgs> options = options_of(c.arguments);
    ASSERT_FALSE(options.ok()) << c.words;
    EXPECT_THAT(options.status().message(), HasSubstr(c.words));
  }
}

}  // namespace
}  // namespace pagoda
