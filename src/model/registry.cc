#include "model/registry.h"

#include <fmt/format.h>

#include "base/json.h"
#include "model/kv_groups.h"

namespace pagoda {

// Each family, in families/: config.json -> its table. Errors name the field.
Result<ModelSpec> read_gemma2_spec(const Value& config);
Result<ModelSpec> read_gemma3_spec(const Value& config);
Result<ModelSpec> read_granite_spec(const Value& config);
Result<ModelSpec> read_llama_spec(const Value& config);
Result<ModelSpec> read_mistral_spec(const Value& config);
Result<ModelSpec> read_mixtral_spec(const Value& config);
Result<ModelSpec> read_olmo2_spec(const Value& config);
Result<ModelSpec> read_phi3_spec(const Value& config);
Result<ModelSpec> read_qwen2_spec(const Value& config);
Result<ModelSpec> read_qwen3_spec(const Value& config);

namespace {

struct Family {
  const char *architecture, *model_type;
  Result<ModelSpec> (*read)(const Value& config);
};
constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", "llama", read_llama_spec},
    {"MistralForCausalLM", "mistral", read_mistral_spec},
    {"MixtralForCausalLM", "mixtral", read_mixtral_spec},
    {"Qwen2ForCausalLM", "qwen2", read_qwen2_spec},
    {"Qwen3ForCausalLM", "qwen3", read_qwen3_spec},
    {"Phi3ForCausalLM", "phi3", read_phi3_spec},
    {"Gemma2ForCausalLM", "gemma2", read_gemma2_spec},
    {"Gemma3ForCausalLM", "gemma3_text", read_gemma3_spec},
    {"Olmo2ForCausalLM", "olmo2", read_olmo2_spec},
    {"GraniteForCausalLM", "granite", read_granite_spec},
};

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.push_back(family.architecture);
  return names;
}

Result<ModelSpec> read_model_spec(const Value& config) {
  if (!config.is_object())
    return invalid_argument(fmt::format("expected an object, found {}", config.type_name()));
  const Value* architectures = config.find("architectures");
  const Value* model_type = config.find("model_type");
  std::string name;
  if (architectures != nullptr && architectures->is_array() && !architectures->as_array().empty() &&
      architectures->as_array()[0].is_string())
    name = architectures->as_array()[0].as_string();
  else if (model_type != nullptr && model_type->is_string())
    name = model_type->as_string();
  else
    return invalid_argument(
        "config.json names no model: expected `architectures` (a list of strings) or `model_type`");

  for (const Family& family : kFamilies) {
    if (name != family.architecture && name != family.model_type) continue;
    PAGODA_TRY(ModelSpec spec, family.read(config));
    spec.config.architecture = family.architecture;
    assign_kv_groups(&spec.config);
    return spec;
  }
  return unimplemented(fmt::format("the architecture '{}' is not supported; supported are: {}",
                                   name.substr(0, 200), fmt::join(supported_architectures(), ", ")));
}

Result<ModelSpec> read_model_spec(std::string_view config_json, const std::string& where) {
  Result<Value> config = parse_json(config_json);
  if (!config.ok()) return std::move(config).status().with_context(where);
  return read_model_spec(*config);
}

}  // namespace pagoda
