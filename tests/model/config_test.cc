#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "model/config_overrides.h"
#include "model/kv_groups.h"
#include "model/registry.h"
#include "model/tensor_list.h"
#include "tests/testing/test_data.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBase =
    R"({"architectures":["LlamaForCausalLM"],"vocab_size":100,"hidden_size":32,"intermediate_size":48,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":null})";

// kBase with some members replaced; null stays null.
Result<ModelSpec> read_with(const std::string& changes) {
  Value config = parse_json(kBase).value();
  const Value changed = parse_json(changes).value();
  for (const Member& member : changed.as_object()) config.as_object().set(member.key, member.value);
  return read_model_spec(config);
}

TEST(ModelConfig, TakesDefaults) {
  auto spec = read_with(
      R"({"head_dim":null,"num_key_value_heads":null,"rope_scaling":null,"torch_dtype":"bfloat16"})");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  const ModelConfig& c = spec->config;
  ASSERT_EQ(c.layers.size(), 2u);
  EXPECT_TRUE(c.layers[0] == c.layers[1]);
  EXPECT_EQ(c.layers[0].attention.num_kv_heads, 4);
  EXPECT_EQ(c.layers[0].attention.head_dim, 8);
  EXPECT_FLOAT_EQ(c.layers[0].attention.scale, 0.35355339f);
  EXPECT_FLOAT_EQ(c.layers[0].norms.eps, 1e-6f);
  EXPECT_FLOAT_EQ(c.final_norm.eps, 1e-6f);
  ASSERT_EQ(c.ropes.size(), 1u);
  EXPECT_EQ(c.ropes[0].theta, 10000);
  EXPECT_EQ(c.ropes[0].rotary_dim, 8);
  EXPECT_EQ(c.context_length, 2048);
  EXPECT_EQ(c.stored_dtype, "bfloat16");
  EXPECT_FALSE(c.tied_head || c.layers[0].attention.qkv_bias || c.layers[0].attention.o_bias ||
               c.layers[0].mlp.has_bias);
  EXPECT_EQ(c.layers[0].attention.window, 0);
  EXPECT_EQ(c.bos_token_id, -1);
  // 2 * 100 * 32 + 32 + 2 * (2 * 32 + 4 * 32 * 32 + 3 * 32 * 48)
  EXPECT_EQ(num_parameters(tensor_list(*spec)), 23968);
}

TEST(ModelConfig, ReadsEveryField) {
  auto spec =
      read_with(R"({"num_key_value_heads":2,"head_dim":16,"rms_norm_eps":1e-5,"max_position_embeddings":512,
    "tie_word_embeddings":true,"attention_bias":true,"mlp_bias":true,"eos_token_id":[2,7],"bos_token_id":1,"rope_theta":500000})");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  const ModelConfig& c = spec->config;
  EXPECT_EQ(c.layers[1].attention.qkv_size(), 4 * 16 + 2 * 2 * 16);
  EXPECT_TRUE(c.tied_head && c.layers[1].attention.qkv_bias && c.layers[1].attention.o_bias &&
              c.layers[1].mlp.has_bias);
  EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{2, 7}));
  EXPECT_EQ(c.bos_token_id, 1);
  EXPECT_EQ(c.ropes[0].theta, 500000);
  EXPECT_EQ(c.context_length, 512);
  EXPECT_EQ(tensor_list(*spec).size(), 3u + 2u * (2 + 4 * 2 + 3 * 2));
}

TEST(ModelConfig, RopeScalingInEverySpelling) {
  const char* llama3 =
      R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192)";
  for (std::string text :
       {R"({"rope_scaling":{"rope_type":"llama3",)" + std::string(llama3) + "}}",
        R"({"rope_scaling":{"type":"llama3",)" + std::string(llama3) + "}}",
        R"({"rope_parameters":{"rope_type":"llama3","rope_theta":10000.0,)" + std::string(llama3) + "}}"}) {
    auto spec = read_with(text);
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    EXPECT_EQ(spec->config.ropes[0].scaling, RopeConfig::Scaling::kLlama3);
    EXPECT_EQ(spec->config.ropes[0].factor, 8);
    EXPECT_EQ(spec->config.ropes[0].high_freq_factor, 4);
    EXPECT_EQ(spec->config.ropes[0].original_max_position_embeddings, 8192);
    EXPECT_EQ(spec->config.context_length, 2048);
  }
  auto linear = read_with(R"({"rope_scaling":{"type":"linear","factor":4}})");
  ASSERT_TRUE(linear.ok());
  EXPECT_EQ(linear->config.ropes[0].scaling, RopeConfig::Scaling::kLinear);
  EXPECT_EQ(linear->config.context_length, 8192);
  auto both = read_with(
      R"({"rope_scaling":{"type":"linear","factor":4},"rope_parameters":{"rope_type":"linear","factor":4}})");
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->config.context_length, 8192);  // stretched once
  auto plain = read_with(R"({"rope_parameters":{"rope_type":"default","rope_theta":250000}})");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->config.ropes[0].theta, 250000);
}

TEST(ModelConfig, RefusesWhatIsHostile) {
  struct Case {
    const char *changes, *words;
  };
  const Case cases[] = {
      {R"({"vocab_size":-5})", "`vocab_size`: expected an integer from 1 to"},
      {R"({"vocab_size":0})", "`vocab_size`"},
      {R"({"vocab_size":"100"})", "found \"100\""},
      {R"({"vocab_size":null})", "`vocab_size` is missing"},
      {R"({"hidden_size":1e18})", "`hidden_size`"},
      {R"({"hidden_size":1000000000000000000})", "`hidden_size`"},
      {R"({"hidden_size":33})", "not a multiple of `num_attention_heads`"},
      {R"({"intermediate_size":1.5})", "`intermediate_size`"},
      {R"({"num_hidden_layers":100000000})", "`num_hidden_layers`"},
      {R"({"num_attention_heads":0})", "`num_attention_heads`"},
      {R"({"num_key_value_heads":3})", "not a multiple of `num_key_value_heads`"},
      {R"({"num_key_value_heads":8})", "not a multiple of `num_key_value_heads`"},
      {R"({"head_dim":7})", "odd"},
      {R"({"head_dim":[8]})", "`head_dim`"},
      {R"({"head_dim":1026})", "`head_dim`: expected an integer from 2 to 1024"},
      {R"({"hidden_size":8192})", "heads of 2048 dimensions"},
      {R"({"rms_norm_eps":-1})", "`rms_norm_eps`"},
      {R"({"rms_norm_eps":{}})", "`rms_norm_eps`"},
      {R"({"max_position_embeddings":9000000000000000000})", "`max_position_embeddings`"},
      {R"({"tie_word_embeddings":"yes"})", "`tie_word_embeddings`: expected true or false"},
      {R"({"rope_theta":0})", "`rope_theta`"},
      {R"({"rope_scaling":"x"})", "`rope_scaling`: expected an object"},
      {R"({"rope_scaling":{"type":"yarn","factor":4}})", "type 'yarn' is not supported"},
      {R"({"rope_scaling":{"type":"linear"}})", "`rope_scaling.factor` is missing"},
      {R"({"rope_scaling":{"type":"linear","factor":1e300}})", "`rope_scaling.factor`"},
      {R"({"rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1}})",
       "must be above"},
      {R"({"rope_scaling":{"type":7}})", "`rope_scaling.type`: expected a string"},
      {R"({"rope_scaling":{"type":"linear","rope_type":"default","factor":2}})",
       "`rope_scaling.rope_type` is 'default', but `rope_scaling.type` is 'linear'"},
      {R"({"rope_scaling":{"rope_type":"linear","factor":2},"rope_parameters":{"rope_theta":"x"}})",
       "`rope_parameters.rope_theta`: expected a number"},
      {R"({"rope_theta":"x","rope_parameters":{"rope_theta":50}})", "`rope_theta`: expected a number"},
      {R"({"rope_parameters":{"rope_type":"yarn"}})", "`rope_parameters.rope_type`: type 'yarn'"},
      {R"({"rope_parameters":{"full_attention":{"rope_theta":50}}})", "`rope_parameters.full_attention`"},
      {R"({"partial_rotary_factor":0})", "rotates 0 of 8"},
      {R"({"hidden_act":"gelu"})", "'gelu' is not supported"},
      {R"({"quantization_config":{"quant_method":"awq"}})", "quantized checkpoints"},
      {R"({"eos_token_id":"2"})", "`eos_token_id`: expected a token id or a list of them"},
      {R"({"eos_token_id":[1,2.5]})", "`eos_token_id`"},
      {R"({"eos_token_id":{"id":1}})", "`eos_token_id`"},
      {R"({"bos_token_id":"<s>"})", "`bos_token_id`"},
      {R"({"architectures":["GPT2LMHeadModel"]})", "supported are: LlamaForCausalLM, MistralForCausalLM"},
      {R"({"architectures":[]})", "names no model"},
      {R"({"architectures":"LlamaForCausalLM"})", "names no model"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.changes);
    auto spec = read_with(c.changes);
    ASSERT_FALSE(spec.ok());
    EXPECT_THAT(spec.status().message(), HasSubstr(c.words));
  }
  EXPECT_FALSE(read_model_spec("[]", "config.json").ok());
  EXPECT_THAT(read_model_spec("{", "x/config.json").status().message(), HasSubstr("x/config.json"));
}

TEST(ModelConfig, WindowsOfSomeLayersAndExperts) {
  const std::string qwen =
      R"({"architectures":["Qwen2ForCausalLM"],"max_position_embeddings":8192,"sliding_window":64)";
  auto windows = [&](const std::string& rest) {
    std::vector<int32_t> found;
    const ModelSpec spec = read_with(qwen + rest).value();
    for (const LayerConfig& layer : spec.config.layers) found.push_back(layer.attention.window);
    return found;
  };
  EXPECT_EQ(windows("}"), (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(windows(R"(,"use_sliding_window":true,"max_window_layers":1})"), (std::vector<int32_t>{0, 64}));
  EXPECT_EQ(windows(R"(,"use_sliding_window":true,"max_window_layers":0,"sliding_window":null})"),
            (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(windows(R"(,"use_sliding_window":true,"layer_types":["sliding_attention","full_attention"]})"),
            (std::vector<int32_t>{64, 0}));
  struct Case {
    std::string changes, words;
  };
  const Case cases[] = {
      {qwen + R"(,"layer_types":["full_attention"]})", "`layer_types` has 1 entries for 2 layers"},
      {qwen + R"(,"layer_types":[]})", "`layer_types` has 0 entries for 2 layers"},
      {qwen + R"(,"layer_types":["full_attention","linear"]})", "`layer_types`: 'linear' is not supported"},
      {qwen + R"(,"layer_types":["full_attention",7]})", "`layer_types`: expected a list of strings"},
      {R"({"architectures":["MixtralForCausalLM"],"num_local_experts":0})", "`num_local_experts`"},
      {R"({"architectures":["MixtralForCausalLM"],"num_local_experts":4,"num_experts_per_tok":5})",
       "`num_experts_per_tok`: expected an integer from 1 to 4"},
      {R"({"architectures":["Phi3ForCausalLM"],"rope_scaling":{"type":"longrope","long_factor":[1,1,1,1]}})",
       "`rope_scaling.short_factor` is missing"},
      {R"({"architectures":["Phi3ForCausalLM"],"rope_scaling":{"type":"longrope","short_factor":[1,1,1],
          "long_factor":[1,1,1,1]}})",
       "`rope_scaling.short_factor`: expected a list of 4 numbers"},
      {R"({"architectures":["Phi3ForCausalLM"],"rope_scaling":{"type":"longrope","short_factor":[1,1,1,0],
          "long_factor":[1,1,1,1]}})",
       "`rope_scaling.short_factor`: expected a list of 4 numbers"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_parameters":{"full_attention":7}})",
       "`rope_parameters.full_attention`: expected an object, found 7"},
      {R"({"architectures":["MixtralForCausalLM"],"num_local_experts":1024,"num_hidden_layers":65})",
       "1024 experts in each of 65 layers"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_parameters":{"rope_type":"linear","factor":8}})",
       "`rope_parameters.rope_type`: expected in the objects `full_attention` or `sliding_attention`"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_local_base_freq":"x"})", "`rope_local_base_freq`"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_scaling":7,"rope_parameters":{"full_attention":{}}})",
       "`rope_scaling`: expected an object"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_parameters":{"full_attention":{"rope_theta":"x"}}})",
       "`rope_parameters.full_attention.rope_theta`: expected a number"},
      {R"({"architectures":["Gemma3ForCausalLM"],"rope_parameters":{"sliding_attention":[]}})",
       "`rope_parameters.sliding_attention`: expected an object"},
      {R"({"architectures":["Gemma3ForCausalLM"],"use_bidirectional_attention":true})", "only causal"},
      {R"({"architectures":["Gemma2ForCausalLM"],"query_pre_attn_scalar":0})", "`query_pre_attn_scalar`"},
      {R"({"architectures":["Gemma2ForCausalLM"],"final_logit_softcapping":-1})",
       "`final_logit_softcapping`"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.changes);
    auto spec = read_with(c.changes);
    ASSERT_FALSE(spec.ok());
    EXPECT_THAT(spec.status().message(), HasSubstr(c.words));
  }
}

// As the configuration classes have it, where a hub's config.json says nothing.
TEST(ModelConfig, DefaultsOfGemma) {
  const std::string gemma = R"({"num_hidden_layers":7,"max_position_embeddings":8192,"architectures":)";
  auto two = read_with(gemma + R"(["Gemma2ForCausalLM"]})"),
       three = read_with(gemma + R"(["Gemma3ForCausalLM"]})");
  ASSERT_TRUE(two.ok() && three.ok()) << two.status().message() << three.status().message();
  EXPECT_TRUE(two->config.tied_head && three->config.tied_head);
  EXPECT_EQ(two->config.logit_softcap, 30);
  EXPECT_EQ(two->config.layers[0].attention.softcap, 50);
  EXPECT_EQ(
      read_with(gemma + R"(["Gemma2ForCausalLM"],"final_logit_softcapping":null})")->config.logit_softcap, 0);
  EXPECT_EQ(three->config.logit_softcap, 0);
  EXPECT_EQ(two->config.layers[0].attention.scale, 1.0f / 16);
  EXPECT_EQ(two->config.layers[0].mlp.activation, Activation::kGeluTanh);
  EXPECT_EQ(two->config.layers[0].attention.window, 4096);
  EXPECT_EQ(two->config.layers[1].attention.window, 0);
  ASSERT_EQ(three->config.ropes.size(), 2u);
  EXPECT_EQ(three->config.ropes[0].theta, 1e6);
  EXPECT_EQ(three->config.ropes[1].theta, 1e4);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(three->config.layers[i].attention.window, i == 5 ? 0 : 4096) << i;
    EXPECT_EQ(three->config.layers[i].rope, i == 5 ? 0 : 1) << i;
  }
}

// What transformers' configuration classes have where config.json says nothing.
TEST(ModelConfig, DefaultsOfEveryFamily) {
  struct Case {
    const char* architecture;
    float eps;
    double theta;
    int64_t context_length, original_context;
    int32_t head_dim;  // 8: hidden_size / heads
    int32_t kv_heads;  // 64: as many as heads
    bool tied_head;
  };
  const Case cases[] = {
      {"LlamaForCausalLM", 1e-6f, 1e4, 2048, 2048, 8, 64, false},
      {"MistralForCausalLM", 1e-6f, 1e4, 131072, 131072, 8, 8, false},
      {"MixtralForCausalLM", 1e-5f, 1e6, 131072, 131072, 8, 8, false},
      {"Qwen2ForCausalLM", 1e-6f, 1e4, 32768, 32768, 8, 32, false},
      {"Qwen3ForCausalLM", 1e-6f, 1e4, 32768, 32768, 128, 32, false},
      {"Phi3ForCausalLM", 1e-5f, 1e4, 4096, 4096, 8, 64, false},
      {"Gemma2ForCausalLM", 1e-6f, 1e4, 8192, 8192, 256, 4, true},
      {"Gemma3ForCausalLM", 1e-6f, 1e6, 131072, 131072, 256, 4, true},
      {"Olmo2ForCausalLM", 1e-5f, 1e4, 2048, 2048, 8, 64, false},
      {"GraniteForCausalLM", 1e-6f, 1e4, 2048, 2048, 8, 64, false},
  };
  EXPECT_EQ(std::size(cases), supported_architectures().size());
  for (const Case& c : cases) {
    SCOPED_TRACE(c.architecture);
    const std::string sizes = R"({"vocab_size":100,"hidden_size":512,"intermediate_size":48,
        "num_hidden_layers":2,"num_attention_heads":64,"architectures":[")";
    auto spec = read_model_spec(sizes + c.architecture + R"("]})", "config.json");
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    const ModelConfig& config = spec->config;
    EXPECT_EQ(config.layers[0].norms.eps, c.eps);
    EXPECT_EQ(config.final_norm.eps, c.eps);
    EXPECT_EQ(config.ropes[0].theta, c.theta);
    EXPECT_EQ(config.context_length, c.context_length);
    EXPECT_EQ(config.ropes[0].original_max_position_embeddings, c.original_context);
    EXPECT_EQ(config.layers[0].attention.head_dim, c.head_dim);
    EXPECT_EQ(config.layers[0].attention.num_kv_heads, c.kv_heads);
    EXPECT_EQ(config.ropes[0].rotary_dim, c.head_dim);
    EXPECT_EQ(config.tied_head, c.tied_head);
    auto null = read_model_spec(sizes + c.architecture + R"("],"num_key_value_heads":null})", "config.json");
    EXPECT_EQ(null->config.layers[0].attention.num_kv_heads, 64);
  }
  auto phi = read_with(R"({"architectures":["Phi3ForCausalLM"],"max_position_embeddings":131072})");
  EXPECT_EQ(phi->config.ropes[0].original_max_position_embeddings, 4096);
}

// A field of `rope_scaling` before that of `rope_parameters`, before what stands beside them; an override
// before all of them, however config.json spells it.
TEST(ModelConfig, PrecedenceOfRopeFields) {
  struct Case {
    const char *changes, *overrides;
    double theta, factor;  // 1: no scaling
  };
  const std::string llama = R"({"rope_parameters":{"rope_type":"default","rope_theta":50}})";
  const std::string linear =
      R"({"rope_parameters":{"rope_type":"linear","factor":4,"rope_theta":50},"rope_theta":60})";
  const std::string gemma = R"({"architectures":["Gemma3ForCausalLM"],"rope_parameters":{
      "full_attention":{"rope_type":"linear","factor":8,"rope_theta":50},
      "sliding_attention":{"rope_type":"default","rope_theta":70}}})";
  const Case cases[] = {
      {llama.c_str(), "{}", 50, 1},
      {linear.c_str(), "{}", 50, 4},
      {linear.c_str(), R"({"rope_theta":80})", 80, 4},
      {linear.c_str(), R"({"rope_scaling":null})", 50, 1},
      {linear.c_str(), R"({"rope_scaling":{"type":"linear","factor":2}})", 50, 2},
      {linear.c_str(), R"({"rope_parameters":{"rope_type":"default"}})", 60, 1},
      {linear.c_str(), R"({"rope_theta":80,"rope_parameters":{"rope_type":"linear","factor":3}})", 80, 3},
      {R"({"rope_scaling":{"type":"linear","factor":4},"rope_theta":50})",
       R"({"rope_parameters":{"rope_type":"default","rope_theta":90}})", 90, 1},
      {R"({"rope_scaling":{"type":"linear","factor":4},"rope_parameters":{"rope_type":"default","rope_theta":50}})",
       "{}", 50, 4},
      {R"({"rope_scaling":{"type":"linear","factor":4,"rope_theta":40},"rope_parameters":{"rope_theta":50}})",
       "{}", 40, 4},
      {R"({"rope_scaling":{},"rope_parameters":{"rope_theta":50}})", "{}", 50, 1},
      {gemma.c_str(), R"({"rope_theta":80})", 80, 8},
      {gemma.c_str(), R"({"rope_scaling":{"type":"linear","factor":3}})", 50, 3},
      {gemma.c_str(), R"({"rope_scaling":null})", 50, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.changes) + c.overrides);
    Value config = parse_json(kBase).value();
    override_config(&config.as_object(), parse_json(c.changes)->as_object());
    override_config(&config.as_object(), parse_json(c.overrides)->as_object());
    auto spec = read_model_spec(config);
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    EXPECT_EQ(spec->config.ropes[0].theta, c.theta);
    EXPECT_EQ(spec->config.ropes[0].factor, c.factor);
    if (spec->config.ropes.size() > 1) {
      EXPECT_EQ(spec->config.ropes[1].theta, 70);
    }
  }
}

TEST(ModelConfig, OverridesReplaceOtherSpellings) {
  struct Case {
    const char *config, *overrides, *result;
  };
  const Case cases[] = {
      {R"({"a":1,"b":{"c":2,"d":3}})", R"({"b":{"c":4},"e":5})", R"({"a":1,"b":{"c":4},"e":5})"},
      {R"({"dtype":"bfloat16"})", R"({"torch_dtype":"float32"})", R"({"torch_dtype":"float32"})"},
      {R"({"torch_dtype":"bfloat16"})", R"({"dtype":"float32"})", R"({"dtype":"float32"})"},
      {R"({"rope_parameters":{"full_attention":{"rope_theta":1},"sliding_attention":{"rope_theta":2}}})",
       R"({"rope_local_base_freq":3})",
       R"({"rope_parameters":{"full_attention":{"rope_theta":1},"sliding_attention":{}},"rope_local_base_freq":3})"},
      {R"({"rope_parameters":7})", R"({"rope_theta":3,"rope_scaling":null})",
       R"({"rope_parameters":7,"rope_theta":3,"rope_scaling":null})"},
      {R"({"rope_parameters":{"partial_rotary_factor":0.5}})", R"({"partial_rotary_factor":1})",
       R"({"rope_parameters":{},"partial_rotary_factor":1})"},
  };
  for (const Case& c : cases) {
    Value config = parse_json(c.config).value();
    override_config(&config.as_object(), parse_json(c.overrides)->as_object());
    EXPECT_EQ(config, parse_json(c.result).value()) << write_json(config);
  }
}

// A window is the model's, however long it is; only the length that is served makes it idle.
TEST(ModelConfig, WindowsAsLongAsTheServedLengthAreFullAttention) {
  const char* gemma =
      R"({"architectures":["Gemma2ForCausalLM"],"sliding_window":64,"max_position_embeddings":64})";
  for (const auto& [length, window] : {std::pair(200, 64), {65, 64}, {64, 0}, {16, 0}}) {
    ModelConfig config = read_with(gemma)->config;
    drop_idle_windows(&config, length);
    EXPECT_EQ(config.layers[0].attention.window, window) << length;
    EXPECT_EQ(config.layers[1].attention.window, 0) << length;
    EXPECT_EQ(config.layers[0].kv_group == config.layers[1].kv_group, window == 0) << length;
  }
}

// An object for each kind of layer, or parts of one, with what stands beside them.
TEST(ModelConfig, AnglesOfGemma3) {
  struct Case {
    const char* changes;
    double global, local;
    RopeConfig::Scaling scaling;
  };
  using enum RopeConfig::Scaling;
  const Case cases[] = {
      {R"({"rope_parameters":{"full_attention":{"rope_type":"linear","factor":8}}})", 1e6, 1e4, kLinear},
      {R"({"rope_parameters":{"full_attention":{"rope_type":"default"},
           "sliding_attention":{"rope_type":"default"}},"rope_theta":500000,"rope_local_base_freq":20000})",
       5e5, 2e4, kNone},
      {R"({"rope_parameters":{"full_attention":null,"sliding_attention":{"rope_theta":30000}}})", 1e6, 3e4,
       kNone},
      {R"({"rope_parameters":{"full_attention":{"rope_theta":7},"sliding_attention":{"rope_theta":8}},
           "rope_theta":500000})",
       7, 8, kNone},
      {R"({"rope_scaling":{"rope_type":"linear","factor":8},"rope_local_base_freq":20000})", 1e6, 2e4,
       kLinear},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.changes);
    Value changes = parse_json(c.changes).value();
    changes.as_object().set("architectures", parse_json(R"(["Gemma3ForCausalLM"])").value());
    auto spec = read_with(write_json(changes));
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    ASSERT_EQ(spec->config.ropes.size(), 2u);
    EXPECT_EQ(spec->config.ropes[0].theta, c.global);
    EXPECT_EQ(spec->config.ropes[0].scaling, c.scaling);
    EXPECT_EQ(spec->config.ropes[1].theta, c.local);
    EXPECT_EQ(spec->config.ropes[1].scaling, kNone);
  }
}

TEST(ModelConfig, TheOriginalContextBesideTheScalingComesFirst) {
  const std::string scaling =
      R"("rope_scaling":{"type":"longrope","short_factor":[1,1,1,1],"long_factor":[2,2,2,2],
                         "original_max_position_embeddings":64})";
  const std::string phi = R"({"architectures":["Phi3ForCausalLM"],)";
  EXPECT_EQ(read_with(phi + scaling + "}")->config.ropes[0].original_max_position_embeddings, 64);
  EXPECT_EQ(read_with(phi + scaling + R"(,"original_max_position_embeddings":16})")
                ->config.ropes[0]
                .original_max_position_embeddings,
            16);
}

TEST(ModelConfig, SaysWhichSpecialIdsAreNotUsed) {
  ::testing::internal::CaptureStderr();
  auto spec = read_with(R"({"bos_token_id":-1,"eos_token_id":[100,2,-7]})");
  EXPECT_TRUE(flush_log(std::chrono::seconds(5)));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("`eos_token_id`: not used: 100, -7: the vocabulary has 100 tokens"));
  EXPECT_EQ(std::ranges::count(log, '\n'), 1) << log;
}

// Ids that the model does not have are never met: -1 stands for none, others for tokens without room.
TEST(ModelConfig, SpecialIdsInEverySpelling) {
  struct Case {
    const char* json;
    int32_t bos;
    std::vector<int32_t> eos;
  };
  const Case cases[] = {
      {R"({"bos_token_id":1,"eos_token_id":2,"pad_token_id":"x"})", 1, {2}},
      {R"({"bos_token_id":[1],"eos_token_id":[2,3]})", 1, {2, 3}},
      {R"({"bos_token_id":null,"eos_token_id":null})", -1, {}},
      {R"({"bos_token_id":[],"eos_token_id":[]})", -1, {}},
      {R"({"bos_token_id":-1,"eos_token_id":[2,-1]})", -1, {2}},
      {R"({"bos_token_id":100,"eos_token_id":[100,2,9223372036854775807]})", -1, {2}},
  };
  for (const Case& c : cases) {
    auto spec = read_with(c.json);
    ASSERT_TRUE(spec.ok()) << c.json << ' ' << spec.status().message();
    EXPECT_EQ(spec->config.bos_token_id, c.bos) << c.json;
    EXPECT_EQ(spec->config.eos_token_ids, c.eos) << c.json;
  }
}

TEST(ModelConfig, FamiliesByTypeAndWindow) {
  auto spec = read_with(R"({"architectures":null,"model_type":"llama"})");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->config.architecture, "LlamaForCausalLM");
  const char* head = R"({"architectures":["MistralForCausalLM"],"max_position_embeddings":8192)";
  auto windows = [&](const std::string& rest) {
    const ModelConfig config = read_with(head + rest).value().config;
    std::vector<int32_t> all;
    for (const LayerConfig& layer : config.layers) all.push_back(layer.attention.window);
    return all;
  };
  EXPECT_EQ(windows(R"(,"sliding_window":null})"), (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(windows(R"(,"sliding_window":1024})"), (std::vector<int32_t>{1024, 1024}));
  EXPECT_EQ(windows(R"(,"sliding_window":8192})"), (std::vector<int32_t>{8192, 8192}));
  EXPECT_EQ(windows("}"), (std::vector<int32_t>{4096, 4096}));
  EXPECT_FALSE(read_with(std::string(head) + R"(,"sliding_window":-1})").ok());
}

}  // namespace
}  // namespace pagoda
