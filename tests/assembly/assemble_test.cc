#include "assembly/assemble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "assembly/model_files.h"
#include "base/json.h"
#include "ops/cpu/isa.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;
using testing::TinyModelOptions;

// The tokenizer of the built-in model fits: its ids are below this.
constexpr int kVocab = 2048;

EngineArgs small_options(const std::string& model) {
  EngineArgs options;
  options.model.path = model;
  options.model.tokenizer = "pagoda-demo";
  options.cache.kv_cache_memory_bytes = 4 << 20;
  options.config.scheduler.max_num_batched_tokens = 64;
  options.cpu.num_threads = 1;
  options.config.log_stats = false;
  return options;
}

TinyModel write_tiny(const std::string& folder, TinyModelOptions options = {}) {
  options.vocab = kVocab;
  TinyModel model = testing::make_tiny_model(options);
  testing::write_tiny_model(model, folder);
  return model;
}

class Sink : public EventSink {
 public:
  void on_event(TokenEvent&& event) override {
    std::lock_guard lock(mutex_);
    tokens_.insert(tokens_.end(), event.out.token.begin(), event.out.token.end());
    logprobs_.insert(logprobs_.end(), event.out.logprob.begin(), event.out.logprob.end());
    finish_ = event.finish;
    if (finish_ != FinishReason::kNone) ended_.notify_all();
  }
  // What came until the end; empty if it did not end well.
  std::vector<TokenId> wait() {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, std::chrono::seconds(60), [&] { return finish_ != FinishReason::kNone; });
    return finish_ == FinishReason::kLength ? tokens_ : std::vector<TokenId>();
  }
  // After wait().
  const std::vector<float>& logprobs() const { return logprobs_; }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<TokenId> tokens_;
  std::vector<float> logprobs_;
  FinishReason finish_ = FinishReason::kNone;
};

TEST(Assemble, TheEngineHasWhatTheFlagsSay) {
  TempDir folder;
  write_tiny(folder.path());
  EngineArgs options = small_options(folder.path());
  options.config.scheduler.max_in_flight = 2;
  options.config.scheduler.watermark = 0.25;
  options.config.scheduler.enable_chunked_prefill = false;
  options.step_limits.max_num_active_seqs = 3;
  auto assembly = assemble(options);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  const SchedulerConfig& config = (*assembly)->engine->config().scheduler;
  EXPECT_EQ(config.max_in_flight, 2);
  EXPECT_EQ(config.watermark, 0.25);
  EXPECT_FALSE(config.adaptive_chunks) << "there are none to size";
  EXPECT_EQ(config.max_num_seqs, 3);
  EXPECT_EQ(config.max_num_batched_tokens, 256) << "a prompt in one piece fits a step";
}

TEST(Assemble, AFolderBecomesAnEngineThatSaysWhatTheDefinitionSays) {
  TempDir folder;
  TinyModel model = write_tiny(folder.path(), {.shards = 2});
  auto assembly = assemble(small_options(folder.path()));
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  Engine& engine = *(*assembly)->engine;
  EXPECT_GT((*assembly)->weight_bytes, 0u);
  EXPECT_EQ((*assembly)->model->vocab_size, kVocab);
  EXPECT_EQ((*assembly)->model->max_model_len, 256);
  EXPECT_EQ((*assembly)->model->served_names, std::vector<std::string>{folder.path()});
  EXPECT_EQ(engine.config().scheduler.max_num_seqs, 64);  // no more than tokens in a step

  auto request = std::make_unique<Request>();
  request->id = engine.next_request_id();
  request->prompt = {5, 17, 1000, 3};
  request->params.temperature = 0;
  request->params.max_tokens = 6;
  std::vector<int32_t> ids(request->prompt.begin(), request->prompt.end());
  auto sink = std::make_shared<Sink>();
  ASSERT_TRUE(engine.submit(std::move(request), engine.reserve(1).value(), sink).ok());
  std::vector<TokenId> said = sink->wait();
  ASSERT_EQ(said.size(), 6u);
  for (TokenId token : said) {
    std::vector<double> logits = model.logits(ids).back();
    EXPECT_NEAR(logits[static_cast<std::size_t>(token)], *std::max_element(logits.begin(), logits.end()),
                1e-4);
    ids.push_back(token);
  }
  EXPECT_THAT((*assembly)->metrics.render(), HasSubstr("vllm:cache_config_info{"));
}

TEST(Assemble, TheBuiltInModelNeedsNoFlags) {
  EngineArgs options = small_options("");
  options.model.tokenizer.clear();
  auto assembly = assemble(options);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  const ModelInfo& model = *(*assembly)->model;
  EXPECT_EQ(model.served_names, std::vector<std::string>{"pagoda-demo"});
  ASSERT_TRUE(model.tokenizer != nullptr && model.chat_template != nullptr);
  EXPECT_FALSE(model.eos_token_ids.empty());
}

// What the engine says to one seeded request, and with which log-probabilities.
std::pair<std::vector<TokenId>, std::vector<float>> say(const EngineArgs& options) {
  auto assembly = assemble(options);
  EXPECT_TRUE(assembly.ok()) << assembly.status().message();
  if (!assembly.ok()) return {};
  Engine& engine = *(*assembly)->engine;
  auto request = std::make_unique<Request>();
  request->id = engine.next_request_id();
  std::vector<TokenId> prompt;
  for (TokenId id = 0; id < 90; ++id) prompt.push_back(id * 37 % kVocab);
  request->prompt = std::move(prompt);
  request->params.seed = 11;
  request->params.top_p = 0.95f;
  request->params.max_tokens = 40;
  request->params.num_logprobs = 0;
  auto sink = std::make_shared<Sink>();
  EXPECT_TRUE(engine.submit(std::move(request), engine.reserve(1).value(), sink).ok());
  std::vector<TokenId> said = sink->wait();
  EXPECT_EQ(said.size(), 40u);
  return {said, sink->logprobs()};
}

// --dtype auto: as config.json says, but never wider than the file has it.
TEST(Assemble, TheConfigChoosesTheDtype) {
  struct Case {
    const char *stored, *overrides, *dtype;
    const char* held;
  };
  const Case cases[] = {
      {"float32", "{}", "auto", "float32"},
      {"float32", R"({"torch_dtype":"bfloat16"})", "auto", "bfloat16"},
      {"float32", R"({"torch_dtype":"torch.float16"})", "auto", "float16"},
      {"float32", R"({"torch_dtype":"float32","dtype":"bfloat16"})", "auto", "bfloat16"},
      {"float32", R"({"torch_dtype":null})", "auto", "float32"},
      {"float32", R"({"torch_dtype":"bfloat16"})", "float32", "float32"},
      {"bfloat16", R"({"torch_dtype":"float32"})", "auto", "bfloat16"},
      {"bfloat16", R"({"torch_dtype":"float64"})", "auto", "bfloat16"},
      {"bfloat16", R"({"torch_dtype":"float16"})", "auto", "float16"},
      {"bfloat16", R"({"torch_dtype":null})", "auto", "bfloat16"},
      {"bfloat16", "{}", "float32", "float32"},
      {"bfloat16", R"({"torch_dtype":"float8_e4m3fn"})", "bfloat16", "bfloat16"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.stored) + c.overrides + c.dtype);
    TempDir folder;
    write_tiny(folder.path(), {.dtype = c.stored});
    EngineArgs options = small_options(folder.path());
    options.model.hf_overrides = parse_json(c.overrides).value();
    options.model.dtype = c.dtype;
    const auto said = say(options);
    options.model.hf_overrides = Value();
    options.model.dtype = c.held;
    EXPECT_EQ(said, say(options));
  }
}

// Tokens that were added without making room for them: served, refused in a prompt.
TEST(Assemble, ATokenizerMayHaveAFewTokensMore) {
  TempDir folder;
  TinyModel model = write_tiny(folder.path());
  testing::write_file(folder.file("tokenizer.json"),
                      *ModelFiles::open("").value().read("tokenizer.json").value());
  testing::write_file(folder.file("tokenizer_config.json"),
                      R"({"added_tokens_decoder":{"2048":{"content":"[PAD]","special":true}},
                          "pad_token":"[PAD]","eos_token":"[PAD]"})");
  EngineArgs options = small_options(folder.path());
  options.model.tokenizer.clear();
  auto assembly = assemble(options);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  EXPECT_EQ((*assembly)->model->tokenizer->token_to_id("[PAD]"), kVocab);
  EXPECT_EQ((*assembly)->model->vocab_size, kVocab);
  EXPECT_EQ((*assembly)->model->eos_token_ids, (std::vector<TokenId>{2}));  // config.json's alone
  GenerateRequest request;
  request.prompt = std::vector<TextPrompt>{std::string("a [PAD]")};
  auto stream =
      (*assembly)->intake->admit(std::move(request), std::make_shared<const ResponseShape>(), {}, [] {});
  ASSERT_TRUE(stream.ok()) << stream.status().message();
  TextDelta delta;
  while (!stream->next(&delta)) std::this_thread::yield();
  ASSERT_FALSE(delta.error.ok());
  EXPECT_THAT(delta.error.message(), HasSubstr("token id 2048 is out of vocabulary"));
}

TEST(Assemble, PackedWeightsOfAFolderGiveTheSameBits) {
  TempDir folder, cache;
  write_tiny(folder.path(), {.dtype = "bfloat16", .attention_bias = true});
  for (const char* quantization : {"", "int8"}) {
    EngineArgs options = small_options(folder.path());
    options.model.quantization = quantization;
    const auto without = say(options);
    options.model.packed_cache = cache.path() + "/made";
    EXPECT_EQ(say(options), without) << "written";
    EXPECT_EQ(say(options), without) << "read";
  }
  std::size_t packed = 0;
  for (const auto& file : std::filesystem::directory_iterator(cache.path() + "/made"))
    packed += file.path().extension() == ".packed";
  EXPECT_EQ(packed, 2u);
}

TEST(Assemble, EveryInstructionSetGivesTheSameBits) {
  TempDir folder;
  write_tiny(folder.path(), {.dtype = "bfloat16", .llama3_rope = true});
  std::optional<std::pair<std::vector<TokenId>, std::vector<float>>> first;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > best_isa()) break;
    SCOPED_TRACE(isa_name(isa));
    EngineArgs options = small_options(folder.path());
    options.cpu.isa = isa_name(isa);
    const auto said = say(options);
    if (!first) first = said;
    EXPECT_EQ(said, *first);  // to the bit
  }
  EXPECT_TRUE(select_isa(best_isa()).ok());
}

TEST(Assemble, DummyWeightsOfAnyShapeNeedNoFolder) {
  TempDir folder;
  testing::write_file(folder.file("shape.json"), write_tiny(folder.path()).config_json());
  EngineArgs options = small_options("");
  options.model.tokenizer.clear();
  options.model.load_format = "dummy";
  options.model.hf_config = folder.file("shape.json");
  auto assembly = assemble(options);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  const ModelInfo& model = *(*assembly)->model;
  EXPECT_EQ(model.tokenizer, nullptr);
  // Nothing of the built-in model's.
  EXPECT_TRUE(model.default_sampling.empty());
  EXPECT_EQ(model.eos_token_ids, (std::vector<TokenId>{2}));
  EXPECT_EQ(model.served_names, std::vector<std::string>{"dummy"});
}

TEST(Assemble, TheLongestThatFits) {
  TempDir folder;
  write_tiny(folder.path());
  EngineArgs options = small_options(folder.path());
  options.cache.num_gpu_blocks_override = 11;  // ten to use, of 16 tokens
  options.model.max_model_len = -1;
  auto assembly = assemble(options);
  ASSERT_TRUE(assembly.ok()) << assembly.status().message();
  EXPECT_EQ((*assembly)->engine->config().scheduler.max_model_len, 160);
  options.model.max_model_len = 161;
  EXPECT_THAT(assemble(options).status().message(), HasSubstr("the longest that would fit is 160"));
}

TEST(Assemble, WhatIsWrongIsNamed) {
  struct Case {
    const char* words;
    std::function<void(EngineArgs*, const TempDir&)> change;
  };
  const Case cases[] = {
      {"neither a folder nor in the Hugging Face cache",
       [](auto* o, auto&) { o->model.path = "no/such-model"; }},
      {"is not a folder", [](auto* o, auto& dir) { o->model.path = dir.file("config.json"); }},
      {"dtype 'int3'", [](auto* o, auto&) { o->model.dtype = "int3"; }},
      {"`dtype` of config.json is 'int3', not one of float32",
       [](auto* o, auto&) { o->model.hf_overrides = parse_json(R"({"torch_dtype":"int3"})").value(); }},
      {"tensors are missing: model.layers.",  // and not that memory is too small for so many layers
       [](auto* o, auto&) {
         o->model.hf_overrides = parse_json(R"({"num_hidden_layers":2048})").value();
         o->cache.kv_cache_memory_bytes = 1;
       }},
      {"--max-model-len 257 is more than the 256", [](auto* o, auto&) { o->model.max_model_len = 257; }},
      {"--prefix-match-unit 8: hits of the prefix cache land on blocks of 16",
       [](auto* o, auto&) { o->cache.prefix_match_unit = 8; }},
      {"no layer of this model has a sliding window",
       [](auto* o, auto&) { o->cache.prefix_cache_retention_interval = 64; }},
      {"--prefix-cache-retention-interval 24 must be a multiple of the block size, 16",
       [](auto* o, auto&) {
         o->model.hf_overrides = parse_json(R"({"model_type":"mistral","architectures":["MistralForCausalLM"],
                                         "sliding_window":32})")
                                     .value();
         o->cache.prefix_cache_retention_interval = 24;
       }},
      {"too small for one request", [](auto* o, auto&) { o->cache.kv_cache_memory_bytes = 1 << 10; }},
      {"--hf-config needs a model",
       [](auto* o, auto& dir) { o->model.path.clear(), o->model.hf_config = dir.file("config.json"); }},
      {"tokenizer.json' is missing", [](auto* o, auto&) { o->model.tokenizer.clear(); }},
      {"do not belong together",
       [](auto* o, auto&) {
         o->model.load_format = "dummy";
         o->model.hf_overrides = parse_json(R"({"vocab_size":100})").value();
       }},
      {"quantized checkpoints",
       [](auto* o, auto&) { o->model.hf_overrides = parse_json(R"({"quantization_config":{}})").value(); }},
      {"does not fit the model",
       [](auto* o, auto&) { o->model.hf_overrides = parse_json(R"({"intermediate_size":64})").value(); }},
      {"config.json' must hold a JSON object",
       [](auto*, auto& dir) { testing::write_file(dir.file("config.json"), "[1]"); }},
      {"invalid JSON", [](auto*, auto& dir) { testing::write_file(dir.file("config.json"), "{"); }},
      {"config.json' is missing",
       [](auto* o, auto& dir) { o->model.hf_config.clear(), std::remove(dir.file("config.json").c_str()); }},
      {"header length",
       [](auto*, auto& dir) {
         testing::write_file(dir.file("model.safetensors"), "\xff\xff\xff\xff\xff\xff\xff\x7f");
       }},
      {"`temperature` is out of range",
       [](auto*, auto& dir) {
         testing::write_file(dir.file("generation_config.json"), R"({"temperature":-1})");
       }},
      {"`top_k` is out of range",
       [](auto* o, auto&) {
         o->frontend.override_generation_config = parse_json(R"({"top_k":1.5})").value();
       }},
      {"neither a file nor a template", [](auto* o, auto&) { o->frontend.chat_template = "no-such-file"; }},
      {"chat template of --chat-template", [](auto* o, auto&) { o->frontend.chat_template = "{% if %}"; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.words);
    TempDir folder;
    write_tiny(folder.path());
    EngineArgs options = small_options(folder.path());
    c.change(&options, folder);
    auto assembly = assemble(options);
    ASSERT_FALSE(assembly.ok());
    EXPECT_THAT(assembly.status().message(), HasSubstr(c.words));
  }
}

}  // namespace
}  // namespace pagoda
