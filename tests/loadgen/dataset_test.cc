#include "loadgen/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace pagoda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SyntheticText ids() {
  return SyntheticText::as_ids(1000);
}

DatasetOptions options_for(const std::string& name, int64_t num_prompts = 1000) {
  DatasetOptions options;
  options.name = name;
  options.num_prompts = num_prompts;
  return options;
}

TEST(RandomDataset, LengthsLieWithinTheRatio) {
  DatasetOptions options = options_for("random", 300);
  options.random_prefix_len = 5;
  options.random_input_len = 100;
  options.random_output_len = 20;
  options.random_input_ratio = 0.1;
  options.random_output_ratio = 0.5;
  std::vector<BenchPrompt> prompts = load_dataset(options, ids()).value();
  ASSERT_EQ(prompts.size(), 300u);
  std::set<int64_t> inputs, outputs;
  std::set<std::vector<int32_t>> prefixes, all;
  for (const BenchPrompt& prompt : prompts) {
    inputs.insert(prompt.prompt_len - 5);
    outputs.insert(prompt.output_len);
    prefixes.insert({prompt.ids.begin(), prompt.ids.begin() + 5});
    all.insert(prompt.ids);
  }
  EXPECT_EQ(*inputs.begin(), 90);
  EXPECT_EQ(*inputs.rbegin(), 110);
  EXPECT_EQ(*outputs.begin(), 10);
  EXPECT_EQ(*outputs.rbegin(), 30);
  EXPECT_EQ(prefixes.size(), 1u);
  EXPECT_EQ(all.size(), 300u);
  EXPECT_EQ(load_dataset(options, ids()).value()[7].ids, prompts[7].ids) << "a seed gives the same again";
}

TEST(PrefixRepetition, EachPrefixAsOften) {
  DatasetOptions options = options_for("prefix_repetition", 21);
  options.repetition_prefix_len = 8;
  options.repetition_suffix_len = 4;
  options.repetition_num_prefixes = 5;
  std::vector<BenchPrompt> prompts = load_dataset(options, ids()).value();
  EXPECT_EQ(prompts.size(), 20u);
  std::map<std::vector<int32_t>, int> prefixes;
  for (const BenchPrompt& prompt : prompts) {
    EXPECT_EQ(prompt.ids.size(), 12u);
    ++prefixes[{prompt.ids.begin(), prompt.ids.begin() + 8}];
  }
  EXPECT_EQ(prefixes.size(), 5u);
  for (const auto& [prefix, count] : prefixes) EXPECT_EQ(count, 4);
  options.num_prompts = 4;
  EXPECT_THAT(load_dataset(options, ids()).status().message(), HasSubstr("num-prefixes"));
}

TEST(Sharegpt, FirstTurnIsThePromptAndSecondTheLength) {
  DatasetOptions options = options_for("sharegpt");
  options.shuffle = false;
  std::string question(40, 'q'), answer(80, 'a');  // 10 and 20 tokens by the guess
  std::string turns =
      R"([{"from":"human","value":")" + question + R"("},{"from":"gpt","value":")" + answer + R"("}])";
  std::string content = R"([{"conversations":)" + turns + R"(}, {"conversations":[]}, {"conversations":7}, 5,
      {"conversations":[{"value":"q"},{"value":"a"}]}, {"conversations":[{"value":3},{"value":"a"}]}])";
  std::vector<BenchPrompt> prompts = sharegpt_prompts(content, options, SyntheticText::as_words()).value();
  ASSERT_EQ(prompts.size(), 1u) << "what has no two turns, or is too short, is left out";
  EXPECT_EQ(prompts[0].text, question);
  EXPECT_EQ(prompts[0].prompt_len, 10);
  EXPECT_EQ(prompts[0].output_len, 20);
  options.sharegpt_output_len = 7;
  EXPECT_EQ(sharegpt_prompts(content, options, SyntheticText::as_words()).value()[0].output_len, 7);
}

TEST(Custom, PromptsAndTheirLengths) {
  DatasetOptions options = options_for("custom");
  options.shuffle = false;
  std::string content =
      "{\"prompt\": \"one\", \"output_tokens\": 3}\r\n\n{\"prompt\": \"two\", \"output_tokens\": 4}";
  std::vector<BenchPrompt> prompts = custom_prompts(content, options, SyntheticText::as_words()).value();
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[1].text, "two");
  EXPECT_EQ(prompts[1].output_len, 256);
  options.custom_output_len = -1;
  EXPECT_EQ(custom_prompts(content, options, SyntheticText::as_words()).value()[1].output_len, 4);
}

TEST(Burstgpt, LengthsOfGpt4) {
  DatasetOptions options = options_for("burstgpt");
  options.shuffle = false;
  std::string content =
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n"
      "45,GPT-4,1087,230,1317,Conversation log\n"
      "46,GPT-4,9,0,9,Conversation log\n"
      "47,GPT-4,12.0,7,19,API log\n";
  std::vector<BenchPrompt> prompts = burstgpt_prompts(content, options, ids()).value();
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].ids.size(), 1087u);
  EXPECT_EQ(prompts[0].output_len, 230);
  EXPECT_EQ(prompts[1].prompt_len, 12);
}

TEST(Trace, BothSpellingsShareBlocksByHash) {
  const char* kSpellings[] = {
      R"({"timestamp": 1000, "input_length": 20, "output_length": 3, "hash_ids": [1, 2, 3]}
{"timestamp": 3000, "input_length": 17, "output_length": 0, "hash_ids": [1, 2, 9]}
{"timestamp": 1500, "input_length": 4, "output_length": 1, "hash_ids": []})",
      R"({"ts": 1000, "il": 20, "ol": 3, "bh": ["1", "2", "3"]}
{"ts": 3000, "il": 17, "ol": 0, "bh": ["1", "2", "9"]}
{"ts": 1500, "il": 4, "ol": 1})"};
  for (const char* content : kSpellings) {
    std::vector<BenchPrompt> prompts = trace_prompts(content, options_for("timed_trace"), ids()).value();
    ASSERT_EQ(prompts.size(), 3u);
    std::vector<double> times;
    for (const BenchPrompt& prompt : prompts) times.push_back(*prompt.timestamp_s);
    EXPECT_THAT(times, ElementsAre(0, 0.5, 2)) << "by time, after the first";
    EXPECT_EQ(prompts[0].ids.size(), 20u);
    EXPECT_EQ(prompts[1].ids.size(), 4u);
    EXPECT_EQ(prompts[2].ids.size(), 17u);
    EXPECT_EQ(prompts[2].output_len, 1) << "at least one token";
    // 8 tokens a hash: the third begins at 16, and 32 would leave the third of the second row without any.
    const auto &a = prompts[0].ids, &b = prompts[2].ids;
    EXPECT_TRUE(std::equal(a.begin(), a.begin() + 16, b.begin()));
    EXPECT_NE(a[16], b[16]);
  }
}

TEST(Trace, ScalesAndChunkSize) {
  DatasetOptions options = options_for("timed_trace");
  options.trace_time_scale = 0.5;
  options.trace_length_scale = 0.25;
  options.trace_chunk_hash_size = 16;
  std::string content = R"({"ts": 0, "il": 40, "ol": 8, "bh": [5]}
{"ts": 4000, "il": 80, "ol": 400, "bh": [5]})";
  std::vector<BenchPrompt> prompts = trace_prompts(content, options, ids()).value();
  EXPECT_EQ(*prompts[1].timestamp_s, 2);
  EXPECT_EQ(prompts[0].ids.size(), 10u);
  EXPECT_EQ(prompts[1].output_len, 100);
  EXPECT_TRUE(std::equal(prompts[0].ids.begin(), prompts[0].ids.begin() + 4, prompts[1].ids.begin()));
  EXPECT_FALSE(std::equal(prompts[0].ids.begin(), prompts[0].ids.begin() + 10, prompts[1].ids.begin()));
}

TEST(Dataset, HostileFilesAreErrorsThatNameTheLine) {
  struct Case {
    const char *name, *content, *message;
  };
  const Case kCases[] = {
      {"sharegpt", "", "JSON"},
      {"sharegpt", "{}", "array"},
      {"sharegpt", "[]", "no prompt that can be used"},
      {"custom", "", "no prompt that can be used"},
      {"custom", "{\"prompt\": \"a\"}\n{\"prompt\": 7}", "line 2: `prompt` must be a string"},
      {"custom", "{\"prompt\": \"a\"}\n\n[1]", "line 3: a JSON object"},
      {"custom", "{\"prompt\": \"\xff\"}", "line 1"},
      {"burstgpt", "a,b,c\n1,2,3", "line 1 must name the columns"},
      {"burstgpt", "Model,Request tokens,Response tokens\nGPT-4,5", "line 2: it has 2 columns"},
      {"burstgpt", "Model,Request tokens,Response tokens\nGPT-4,-5,1", "line 2"},
      {"burstgpt", "Model,Request tokens,Response tokens\nGPT-4,1e300,1", "line 2"},
      {"burstgpt", "Model,Request tokens,Response tokens\nGPT-4,nan,1", "line 2"},
      {"timed_trace", "{\"ts\": -1, \"il\": 1, \"ol\": 1}", "line 1: `timestamp`"},
      {"timed_trace", "{\"ts\": 1, \"il\": 1e9, \"ol\": 1}", "`input_length` (or `il`)"},
      {"timed_trace", "{\"ts\": 1, \"il\": 99999999999, \"ol\": 1}", "`input_length`"},
      {"timed_trace", "{\"ts\": 1, \"il\": 1, \"ol\": -3}", "`output_length`"},
      {"timed_trace", "{\"ts\": 1, \"il\": 1, \"ol\": 1, \"bh\": 3}", "must be an array"},
      {"timed_trace", "{\"ts\": 1, \"il\": 1, \"ol\": 1, \"bh\": [{}]}", "integers or strings"},
  };
  std::string path = ::testing::TempDir() + "/hostile_dataset";
  for (const Case& c : kCases) {
    std::ofstream(path) << c.content;
    DatasetOptions options = options_for(c.name);
    options.path = path;
    Result<std::vector<BenchPrompt>> prompts = load_dataset(options, ids());
    ASSERT_FALSE(prompts.ok()) << c.content;
    EXPECT_THAT(prompts.status().message(), HasSubstr(c.message));
    EXPECT_THAT(prompts.status().message(), HasSubstr(path)) << c.content;
  }
}

TEST(Dataset, TooManyTokensTogether) {
  std::string content;
  for (int i = 0; i < 40; ++i) content += "{\"ts\": 1, \"il\": 16000000, \"ol\": 1}\n";
  DatasetOptions options = options_for("timed_trace");
  options.trace_length_scale = 100;
  auto prompts = trace_prompts(content, options, SyntheticText::as_ids(2));
  ASSERT_FALSE(prompts.ok());
  EXPECT_THAT(prompts.status().message(), HasSubstr("--num-prompts"));
}

TEST(Dataset, WrongNamesAndPaths) {
  auto message = [](const DatasetOptions& options) {
    return load_dataset(options, ids()).status().message();
  };
  EXPECT_THAT(message(options_for("sonnet")), HasSubstr("not one of random, prefix_repetition, sharegpt"));
  EXPECT_THAT(message(options_for("custom")), HasSubstr("needs --dataset-path"));
  DatasetOptions options = options_for("random");
  options.path = "/tmp/x";
  EXPECT_THAT(message(options), HasSubstr("reads no file"));
  options.name = "custom";
  options.path = "/does/not/exist";
  EXPECT_THAT(message(options), HasSubstr("/does/not/exist"));
}

TEST(Dataset, AShortFileIsGoneThroughAgainUnlessForbidden) {
  std::string path = ::testing::TempDir() + "/short_dataset";
  std::ofstream(path) << "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n{\"prompt\": \"three\"}\n";
  DatasetOptions options = options_for("custom", 7);
  options.path = path;
  options.shuffle = false;
  std::vector<BenchPrompt> prompts = load_dataset(options, ids()).value();
  ASSERT_EQ(prompts.size(), 7u);
  EXPECT_EQ(prompts[6].text, "one");
  options.oversample = false;
  EXPECT_EQ(load_dataset(options, ids()).value().size(), 3u);
  options.num_prompts = 2;
  EXPECT_EQ(load_dataset(options, ids()).value().size(), 2u);
}

}  // namespace
}  // namespace pagoda
