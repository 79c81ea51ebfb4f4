// Everything of a server between HTTP and a model: an engine whose runner says what a script wants, a
// byte-level tokenizer made here, a small chat template. For tests of what stands between a client and the
// engine. In the header alone: the helpers' library knows none of the rooms above base.
#pragma once
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "frontend/intake.h"
#include "runner/model_runner.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda::testing {

// Ids 0-255 are the bytes; then these.
enum ScriptedToken : TokenId { kBos = 256, kEos, kImStart, kImEnd, kStopNow, kTwoWords, kScriptedVocab };

// kStopNow is "STOP now", kTwoWords is "two words"; neither is special.
std::shared_ptr<const Tokenizer> make_scripted_tokenizer();
// The bytes of a text as ids.
std::vector<TokenId> bytes_of(const std::string& text);

// What the choice's answer is; after its last token comes kEos.
using Script = std::function<std::vector<TokenId>(const std::vector<TokenId>& prompt, int32_t choice)>;

// Log-probability of a sampled token: -id / 256; of the alternatives -i / 2 for ids 0, 1, ...
class ScriptedRunner : public ModelRunner {
 public:
  ScriptedRunner(Script script, std::function<Status()> on_step)
      : script_(std::move(script)), on_step_(std::move(on_step)) {}
  Status launch(const StepPlan& plan) override;
  Status wait(uint64_t step_id, StepResult* result) override;
  int32_t vocab_size() const override { return kScriptedVocab; }

 private:
  struct Row {
    std::vector<TokenId> prompt;
    int32_t choice = 0, num_logprobs = -1, num_prompt_logprobs = -1;
  };
  Script script_;
  std::function<Status()> on_step_;
  const StepPlan* plan_ = nullptr;
  std::vector<Row> rows_;
};

struct ScriptedEngine {
  // Change what you like before start().
  ModelInfo model;
  EngineConfig config = countable_engine(
      {.max_num_seqs = 16, .max_num_batched_tokens = 512, .max_model_len = 256, .max_num_queued_reqs = 64});
  Script script;
  int32_t num_blocks = 400;         // of 16 tokens
  std::function<Status()> on_step;  // in every step, on the engine thread; may wait, or fail

  ScriptedEngine();
  ~ScriptedEngine();
  void start();
  void restart_text_pool(int num_threads);
  // Until what has been handed to it is done. Requires: it has one thread.
  void await_text_pool();

  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "scripted", 256};
  std::unique_ptr<Engine> engine;
  std::unique_ptr<TaskPool> text_pool;
  std::unique_ptr<Intake> intake;
};

// GPT-2's printable stand-ins of the bytes.
inline std::string byte_spelling(int byte) {
  auto is_printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  int shift = 0;
  for (int b = 0; b < byte; ++b) shift += !is_printable(b);
  std::string out;
  append_utf8(&out, static_cast<uint32_t>(is_printable(byte) ? byte : 256 + shift));
  return out;
}

inline Value added_token(TokenId id, const char* content, bool special) {
  Object out;
  out.append("id", id);
  out.append("content", content);
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) out.append(flag, false);
  out.append("special", special);
  return Value(std::move(out));
}

inline std::shared_ptr<const Tokenizer> make_scripted_tokenizer() {
  Object vocab;
  for (int byte = 0; byte < 256; ++byte) vocab.append(byte_spelling(byte), byte);
  Object bpe;
  bpe.append("type", "BPE");
  bpe.append("vocab", std::move(vocab));
  bpe.append("merges", Array());
  Object root;
  root.append("version", "1.0");
  root.append("added_tokens",
              Array{added_token(kBos, "<s>", true), added_token(kEos, "</s>", true),
                    added_token(kImStart, "<|im_start|>", true), added_token(kImEnd, "<|im_end|>", true),
                    added_token(kStopNow, "STOP now", false), added_token(kTwoWords, "two words", false)});
  root.append("normalizer", Value());
  const char* byte_level =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
  root.append("pre_tokenizer", *parse_json(byte_level));
  root.append("post_processor", *parse_json(R"({"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
      "special_tokens":{"<s>":{"id":"<s>","ids":[256],"tokens":["<s>"]}}})"));
  root.append("decoder", *parse_json(byte_level));
  root.append("model", std::move(bpe));
  auto tokenizer = Tokenizer::from_json(write_json(Value(std::move(root))));
  PAGODA_CHECK(tokenizer.ok(), tokenizer.status().message().c_str());
  return *tokenizer;
}

inline std::vector<TokenId> bytes_of(const std::string& text) {
  std::vector<TokenId> ids;
  for (char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

inline Status ScriptedRunner::launch(const StepPlan& plan) {
  plan_ = &plan;
  return {};
}

inline Status ScriptedRunner::wait(uint64_t step_id, StepResult* out) {
  if (on_step_) PAGODA_RETURN_IF_ERROR(on_step_());
  for (const NewRow& fresh : plan_->new_rows) {
    if (rows_.size() <= static_cast<std::size_t>(fresh.row))
      rows_.resize(static_cast<std::size_t>(fresh.row) + 1);
    Row& row = rows_[static_cast<std::size_t>(fresh.row)];
    auto begin = plan_->tokens.begin() + fresh.token_begin;
    row.prompt.assign(begin, begin + fresh.num_prompt_tokens);
    row.choice = fresh.choice;
    const SamplingParams& params = plan_->params[static_cast<std::size_t>(fresh.params_index)];
    row.num_logprobs = params.num_logprobs;
    row.num_prompt_logprobs = params.num_prompt_logprobs;
  }
  StepResult& result = *out;
  result = {};
  result.step_id = step_id;
  result.top_begin.push_back(0);
  for (const SampleWork& sample : plan_->samples) {
    const Row& row = rows_[static_cast<std::size_t>(sample.row)];
    bool of_prompt = sample.kind == SampleKind::kPromptLogprobs;
    TokenId token = sample.target;
    if (!of_prompt) {
      std::vector<TokenId> answer = script_(row.prompt, row.choice);
      auto index = static_cast<std::size_t>(sample.output_index);
      token = index < answer.size() ? answer[index] : static_cast<TokenId>(kEos);
    }
    result.token.push_back(token);
    result.logprob.push_back(-static_cast<float>(token) / 256);
    result.rank.push_back(token + 1);
    for (int32_t i = 0; i < (of_prompt ? row.num_prompt_logprobs : row.num_logprobs); ++i)
      result.top.push_back({i, -static_cast<float>(i) / 2});
    result.top_begin.push_back(static_cast<int32_t>(result.top.size()));
    result.bad.push_back(0);
  }
  result.num_accepted.assign(plan_->work.size(), 0);
  return {};
}

inline ScriptedEngine::ScriptedEngine() {
  model.served_names = {"scripted", "second/name"};
  model.root = "/models/scripted";
  model.max_model_len = 256;
  model.vocab_size = kScriptedVocab;
  model.eos_token_ids = {kEos};
  model.bos_token_id = kBos;
  model.bos_token = "<s>";
  model.eos_token = "</s>";
  model.tokenizer = make_scripted_tokenizer();
  auto parsed = ChatTemplate::parse(
      "{{ bos_token }}{% if tools %}[{{ tools[0].function.name }}]{% endif %}"
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
  PAGODA_CHECK(parsed.ok(), parsed.status().message().c_str());
  model.chat_template = *parsed;
  script = [](const std::vector<TokenId>&, int32_t) { return bytes_of("Hello, world."); };
}

inline ScriptedEngine::~ScriptedEngine() {
  text_pool.reset();
  intake.reset();
  engine.reset();
}

inline void ScriptedEngine::start() {
  constexpr int32_t kBlockSize = 16;
  const std::vector<KvGroupSpec> groups = {testing::full_group(kBlockSize)};
  engine = std::make_unique<Engine>(config, std::make_unique<KvManager>(groups, num_blocks),
                                    std::make_unique<ScriptedRunner>(script, on_step), &metrics);
  restart_text_pool(2);
}

inline void ScriptedEngine::restart_text_pool(int num_threads) {
  text_pool.reset();
  text_pool = std::make_unique<TaskPool>(num_threads, 256);
  intake = std::make_unique<Intake>(std::make_shared<const ModelInfo>(model), engine.get(), text_pool.get());
}

inline void ScriptedEngine::await_text_pool() {
  std::promise<void> done;
  PAGODA_CHECK(text_pool->submit([&] { done.set_value(); }).ok(), "the text pool has room");
  done.get_future().wait();
}

}  // namespace pagoda::testing
