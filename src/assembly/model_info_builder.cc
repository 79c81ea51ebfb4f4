#include "assembly/model_info_builder.h"

#include <algorithm>
#include <ctime>

#include "assembly/demo_files.h"
#include "base/log.h"
#include "model/config_reader.h"

namespace pagoda {
namespace {

// The sampling fields of generation_config.json that are defaults of requests, with the ranges that requests
// are held to.
struct SamplingDefault {
  const char* name;
  double low, high;
  bool integer;
};
constexpr SamplingDefault kSamplingDefaults[] = {
    {"temperature", 0, 1e4, false},
    {"top_p", 1e-9, 1, false},
    {"top_k", -1, 1e9, true},
    {"min_p", 0, 1, false},
    {"repetition_penalty", 1e-9, 1e4, false},
    {"max_new_tokens", 1, 1e9, true},
};

Status take_sampling_defaults(const Object& config, const std::string& where, Object* out) {
  for (const SamplingDefault& field : kSamplingDefaults) {
    const Value* value = config.find(field.name);
    if (value == nullptr || value->is_null()) continue;
    bool right_kind = field.integer ? value->is_int() : value->is_number();
    if (!right_kind || value->as_double() < field.low || value->as_double() > field.high)
      return invalid_argument(where + ": `" + field.name + "` is out of range or no number");
    out->set(field.name, *value);
  }
  return {};
}

Result<Object> generation_config(const FrontendArgs& args, const ModelFiles& files) {
  if (args.generation_config == "vllm") return Object();
  if (args.generation_config == "auto") return files.read_object("generation_config.json", false);
  Result<ModelFiles> other = ModelFiles::open(args.generation_config);
  if (!other.ok()) return std::move(other.status()).with_context("--generation-config");
  return other->read_object("generation_config.json", true);
}

// Whatever one of the model's files calls its end: a chat model's turn often ends with another id than its
// text.
Result<std::vector<TokenId>> end_ids(const ModelSpec& spec, const Object& generation,
                                     const TextAssets& assets) {
  std::vector<TokenId> ids = spec.config.eos_token_ids;
  const Value members(generation);
  ConfigReader reader(members);
  for (TokenId id : reader.token_ids("eos_token_id", spec.config.vocab_size)) ids.push_back(id);
  if (!reader.status().ok()) return reader.status();
  if (assets.tokenizer && !assets.eos_token.empty())
    if (auto id = assets.tokenizer->token_to_id(assets.eos_token); id && *id < spec.config.vocab_size)
      ids.push_back(*id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Tokens that were added without making room for them in the model (often one for padding) do no harm: a
// prompt that holds one is refused, and none is ever sampled. Many of them mean another model's tokenizer.
Status check_vocabulary(const ModelSpec& spec, const TextAssets& assets) {
  if (!assets.tokenizer || assets.tokenizer->vocab_size() <= spec.config.vocab_size) return {};
  const int64_t beyond = assets.tokenizer->vocab_size() - spec.config.vocab_size;
  const std::string first(assets.tokenizer->id_to_token(static_cast<TokenId>(spec.config.vocab_size)));
  if (beyond <= spec.config.vocab_size / 4) {
    log_warning(
        "The tokenizer has {} {} more than the model's vocabulary of {} (the first: {} '{}'): a prompt that "
        "holds such a token is refused.",
        beyond, beyond == 1 ? "token" : "tokens", spec.config.vocab_size, spec.config.vocab_size, first);
    return {};
  }
  return invalid_argument("the tokenizer has ids up to " +
                          std::to_string(assets.tokenizer->vocab_size() - 1) +
                          ", but the model's vocabulary has only " + std::to_string(spec.config.vocab_size) +
                          " entries: tokenizer.json and config.json do not belong together");
}

}  // namespace

Result<std::shared_ptr<const ModelInfo>> build_model_info(const EngineArgs& args, const ModelFiles& files,
                                                          const ModelSpec& spec, TextAssets assets,
                                                          int32_t max_model_len) {
  PAGODA_RETURN_IF_ERROR(check_vocabulary(spec, assets));
  auto info = std::make_shared<ModelInfo>();
  info->root = files.is_demo() ? kDemoModelName : args.model.path;
  info->served_names = args.frontend.served_names;
  info->accept_any_name = args.frontend.accept_any_model_name;
  if (info->served_names.empty()) info->served_names.push_back(info->root.empty() ? "dummy" : info->root);
  info->max_model_len = max_model_len;
  if (args.cache.prefix_cache.enabled) info->cache_block_size = static_cast<int32_t>(args.cache.block_size);
  info->vocab_size = static_cast<int32_t>(spec.config.vocab_size);
  PAGODA_TRY(Object generation, generation_config(args.frontend, files));
  Result<std::vector<TokenId>> ends = end_ids(spec, generation, assets);
  if (!ends.ok()) return std::move(ends.status()).with_context("generation_config.json");
  info->eos_token_ids = *std::move(ends);
  PAGODA_RETURN_IF_ERROR(
      take_sampling_defaults(generation, "generation_config.json", &info->default_sampling));
  // As vLLM has it: of a folder that the operator names, or of what he overrides; else a default.
  const bool is_named =
      args.frontend.generation_config != "auto" && args.frontend.generation_config != "vllm";
  info->max_new_tokens_is_limit =
      is_named || (args.frontend.override_generation_config.is_object() &&
                   args.frontend.override_generation_config.find("max_new_tokens"));
  if (args.frontend.override_generation_config.is_object())
    PAGODA_RETURN_IF_ERROR(take_sampling_defaults(args.frontend.override_generation_config.as_object(),
                                                  "--override-generation-config", &info->default_sampling));
  info->bos_token_id = spec.config.bos_token_id;
  info->bos_token = assets.bos_token;
  info->eos_token = assets.eos_token;
  info->tokenizer_config = std::move(assets.tokenizer_config);
  info->chat_template = assets.chat_template;
  info->tool_chat_template = assets.tool_chat_template;
  info->chat_template_names = assets.chat_template_names;
  if (args.frontend.chat_template_content_format != "auto")
    info->content_parts = args.frontend.chat_template_content_format == "openai";
  info->default_template_kwargs = assets.special_tokens;
  if (args.frontend.default_template_kwargs.is_object())
    for (const Member& member : args.frontend.default_template_kwargs.as_object())
      info->default_template_kwargs.set(member.key, member.value);
  info->tokenizer = std::move(assets.tokenizer);
  info->trust_request_chat_template = args.frontend.trust_request_chat_template;
  info->max_logprobs = static_cast<int32_t>(args.frontend.max_logprobs);
  info->response_role = args.frontend.response_role;
  info->created = static_cast<int64_t>(std::time(nullptr));
  if (!info->default_sampling.empty())
    log_info(
        "Default sampling parameters are taken from the model's generation config; --generation-config vllm "
        "turns that off.");
  return std::shared_ptr<const ModelInfo>(std::move(info));
}

}  // namespace pagoda
