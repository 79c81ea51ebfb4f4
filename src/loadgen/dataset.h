#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "loadgen/synthetic_text.h"

namespace pagoda {

// What to send, in the words and with the defaults of vLLM's flags.
struct DatasetOptions {
  std::string name = "random";  // random, prefix_repetition, sharegpt, custom, burstgpt, timed_trace
  std::string path;             // of the file, for those that have one
  int64_t num_prompts = 1000;
  uint64_t seed = 0;
  bool shuffle = true;     // prefix_repetition, sharegpt, custom
  bool oversample = true;  // a file with fewer prompts than wanted is gone through again

  // random: prefix_len tokens that all prompts share, then input_len of their own. Lengths are uniform in
  // [len * (1 - ratio), len * (1 + ratio)].
  int64_t random_prefix_len = 0, random_input_len = 1024, random_output_len = 128;
  double random_input_ratio = 0, random_output_ratio = 0;

  int64_t repetition_prefix_len = 256, repetition_suffix_len = 256, repetition_num_prefixes = 10,
          repetition_output_len = 128;

  std::optional<int64_t> sharegpt_output_len;  // absent: as long as the answer in the file
  int64_t custom_output_len = 256;             // -1: `output_tokens` of each line

  // A trace's `timestamp` in seconds; the tokens that one of its hashes stands for, 0: as many as fit its
  // lengths; and factors on its times and lengths.
  double trace_sec_multiplier = 0.001;
  int64_t trace_chunk_hash_size = 0;
  double trace_time_scale = 1, trace_length_scale = 1;
};

// Errors kInvalidArgument, kIo: the file, its line, and what is wrong there. Without a tokenizer lengths of
// given texts are guesses (SyntheticText::count_tokens). At most num_prompts prompts, never none.
Result<std::vector<BenchPrompt>> load_dataset(const DatasetOptions& options, const SyntheticText& text);

// Its parts, one for each kind of dataset.
std::vector<BenchPrompt> random_prompts(const DatasetOptions& options, const SyntheticText& text);
Result<std::vector<BenchPrompt>> prefix_repetition_prompts(const DatasetOptions& options,
                                                           const SyntheticText& text);
// `content`: the file's. A JSON array of conversations; the first two turns are a prompt and its answer.
Result<std::vector<BenchPrompt>> sharegpt_prompts(const std::string& content, const DatasetOptions& options,
                                                  const SyntheticText& text);
// A JSON object with `prompt` on each line.
Result<std::vector<BenchPrompt>> custom_prompts(const std::string& content, const DatasetOptions& options,
                                                const SyntheticText& text);
// CSV with the columns Timestamp, Model, Request tokens, Response tokens; GPT-4's lines that had an answer.
Result<std::vector<BenchPrompt>> burstgpt_prompts(const std::string& content, const DatasetOptions& options,
                                                  const SyntheticText& text);
// A JSON object on each line, in one of two spellings: timestamp, input_length, output_length, hash_ids
// (Mooncake) or ts, il, ol, bh. Prompts with the same hash have the same tokens in its place.
Result<std::vector<BenchPrompt>> trace_prompts(const std::string& content, const DatasetOptions& options,
                                               const SyntheticText& text);

}  // namespace pagoda
