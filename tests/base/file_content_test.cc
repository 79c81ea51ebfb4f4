#include "base/file_content.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pagoda {
namespace {

using ::testing::HasSubstr;

TEST(FileContent, WhatADownloadLeftIsNamed) {
  struct Case {
    const char *bytes, *words;
  };
  const Case wrong[] = {
      {"", "'x.json' is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"},
      {"version https://git-lfs.github.com/spec/v2\n", "Git LFS pointer"},
      {"version https://hawser.github.com/spec/v1\n", "Git LFS pointer"},
      {"<!DOCTYPE html>", "web page"},
      {"\xEF\xBB\xBF\r\n  <!doctype HTML>", "web page"},
      {"<HTML lang=\"en\">", "web page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "web page"},
  };
  for (const Case& c : wrong) {
    Status status = check_content(c.bytes, "x.json");
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.bytes;
    EXPECT_THAT(status.message(), HasSubstr(c.words)) << c.bytes;
  }
  for (const char* right : {"{}", " ", "version 2", "{{ messages }}", "<|im_start|>", "<", "<s>{% if a %}"})
    EXPECT_TRUE(check_content(right, "x.json").ok()) << right;
}

}  // namespace
}  // namespace pagoda
