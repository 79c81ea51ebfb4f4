// How far a model's predictions of the next token move: KL and greedy agreement, over real text.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "assembly/text_assets.h"
#include "base/json.h"
#include "base/mmap.h"
#include "tests/assembly/planted.h"
#include "tests/decoder/driven_decoder.h"
#include "tests/testing/test_data.h"

namespace pagoda::testing {

using Ids = std::vector<int32_t>;

inline std::unique_ptr<Decoder> load(Model* model, const DecoderOptions& options) {
  ComputePool pool(1);
  CpuStream stream(&pool);
  auto decoder = Decoder::load(model->spec(), *model->checkpoint(), options, stream);
  EXPECT_TRUE(decoder.ok()) << decoder.status().message();
  return std::move(*decoder);
}

template <class T>
std::size_t best_of(const std::vector<T>& logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline std::vector<double> log_softmax(const std::vector<float>& logits) {
  double sum = 0;
  const auto largest = static_cast<double>(logits[best_of(logits)]);
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  std::vector<double> out;
  for (float logit : logits) out.push_back(static_cast<double>(logit) - largest - std::log(sum));
  return out;
}

// The logarithms of both sides' probabilities.
inline double divergence(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    if (p[i] > -40) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

// Logits after every token of every text.
inline Logits predictions(const Decoder& decoder, const std::vector<Ids>& texts,
                          DType kv_dtype = DType::kF32) {
  DrivenDecoder driven(decoder, kv_dtype, 1);
  Logits out;
  for (const Ids& text : texts) {
    driven.restart();
    for (auto& row : driven.run(text, text.size())) out.push_back(std::move(row));
  }
  return out;
}

struct Quality {
  double kl = 0;     // mean, in nats
  double agree = 0;  // share of tokens whose likeliest successor is the same
};
inline Quality compare(const std::vector<std::vector<double>>& exact, const Logits& found) {
  Quality quality;
  const auto count = static_cast<double>(exact.size());
  for (std::size_t t = 0; t < exact.size(); ++t) {
    quality.kl += divergence(exact[t], log_softmax(found[t])) / count;
    quality.agree += (best_of(exact[t]) == best_of(found[t]) ? 1 : 0) / count;
  }
  return quality;
}

struct Subject {
  std::string name;
  std::function<Model()> open;
  std::vector<Ids> texts;
};

inline Ids encoded(const Tokenizer& tokenizer, const std::string& text, bool add_special_tokens) {
  Ids ids;
  tokenizer.encode(text, {.add_special_tokens = add_special_tokens}, &ids);
  return ids;
}

inline constexpr std::size_t kEvery = 3;  // as many questions as are answered in a second

// The built-in model on questions that it was not trained on, with its own answers.
inline Subject demo() {
  auto files = ModelFiles::open("").value();
  Subject subject{"The demo model",
                  [files] {
                    return Model(*files.open_checkpoint().value(),
                                 files.read_object("config.json", true).value());
                  },
                  {}};
  TextAssets assets = load_text_assets(files, "").value();
  Model model = subject.open();
  auto decoder = load(&model, {.dtype = DType::kF32});
  DrivenDecoder driven(*decoder, DType::kF32, 1);
  const int32_t end = *assets.tokenizer->token_to_id(assets.eos_token);
  for (const char* file : {"demo/heldout.json", "demo/unknown.json"}) {
    const Value questions = parse_json(read_file(source_path(file)).value()).value();
    for (std::size_t q = 0; q < questions.as_array().size(); q += kEvery) {
      Object message, context = assets.special_tokens;
      message.set("role", "user");
      message.set("content", *questions.as_array()[q].find("question"));
      context.set("messages", Array{Value(message)});
      context.set("add_generation_prompt", true);
      Ids ids = encoded(*assets.tokenizer, assets.chat_template->render(context, {}).value(), false);
      driven.restart();
      std::size_t next = best_of(driven.run(ids, ids.size()).back());
      for (int i = 0; i < 40 && static_cast<int32_t>(next) != end; ++i) {
        ids.push_back(static_cast<int32_t>(next));
        next = best_of(driven.run(std::span(ids).last(1), 1).back());
      }
      subject.texts.push_back(std::move(ids));
    }
  }
  return subject;
}

// stories260K on its own story and on stories that it did not write.
inline Subject stories(const std::string& folder) {
  Subject subject{"stories260K",
                  [folder] {
                    return Model(*Checkpoint::open(folder).value(),
                                 parse_json(read_file(folder + "/config.json").value()).value().as_object());
                  },
                  {}};
  const Value golden = parse_json(read_file(folder + "/golden.json").value()).value();
  Ids& own = subject.texts.emplace_back();
  for (const Value& id : golden.find("ids")->as_array()) own.push_back(static_cast<int32_t>(id.as_int()));
  auto tokenizer = load_tokenizer(folder).value();
  for (const char* text :
       {"One day, a small cat named Tom sat by the window and looked at the rain. He wanted to go out and "
        "play "
        "with his red ball. \"Wait, Tom,\" said his mom. \"The sun will come soon.\" Tom was sad, but he "
        "waited. "
        "Soon the rain stopped and a big rainbow was in the sky. Tom ran to the garden and played all day.",
        "Ben and Mia were friends. They liked to build big towers with blocks. One morning they found a box "
        "under "
        "the tree. \"What is in the box?\" asked Mia. Ben was scared, but he opened it. Inside there was a "
        "little "
        "bird with a hurt wing. They took the bird home, gave it water and bread, and it sang a happy song.",
        "The old farmer had a brown horse who did not want to work. Every day the farmer said, \"Please pull "
        "the "
        "cart.\" The horse shook its head. Then a girl came with a shiny apple. She gave the apple to the "
        "horse "
        "and whispered in its ear. The horse smiled and pulled the cart up the hill. Everyone clapped."})
    subject.texts.push_back(encoded(*tokenizer, text, true));
  return subject;
}

}  // namespace pagoda::testing
