#include "assembly/model_source.h"

#include "base/file_content.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap.h"
#include "model/config_overrides.h"
#include "model/kv_groups.h"
#include "model/registry.h"
#include "model/tensor_list.h"
#include "weights/check_tensors.h"

namespace pagoda {
namespace {

Result<std::optional<DType>> parse_dtype_flag(const std::string& name) {
  if (name == "float32" || name == "float") return std::optional(DType::kF32);
  if (name == "bfloat16") return std::optional(DType::kBF16);
  if (name == "float16" || name == "half") return std::optional(DType::kF16);
  if (name == "auto" || name.empty()) return std::optional<DType>();
  return invalid_argument("dtype '" + name + "' is not one of auto, float32, bfloat16, float16", "dtype");
}

Result<std::optional<WeightFormat>> parse_quantization(const std::string& name, const std::string& flag) {
  if (name.empty() || name == "none") return std::optional<WeightFormat>();
  if (std::optional<WeightFormat> format = quantized_format(name)) return format;
  return invalid_argument(
      "'" + name +
          "' is not one of none, int8, int4, int4-zp, int4-g32, int4-g32-zp: ways to quantize an unquantized "
          "checkpoint while it is loaded",
      flag);
}

Result<Object> read_config(const ModelArgs& args, const ModelFiles& files) {
  Object config;
  if (args.hf_config.empty()) {
    PAGODA_TRY(config, files.read_object("config.json", true));
  } else {
    PAGODA_TRY(std::string text, read_file(args.hf_config, 16 << 20));
    PAGODA_RETURN_IF_ERROR(check_content(text, args.hf_config));
    Result<Value> value = parse_json(text);
    if (!value.ok()) return std::move(value.status()).with_context("'" + args.hf_config + "'");
    if (!value->is_object())
      return invalid_argument("'" + args.hf_config + "' must hold a JSON object", "hf-config");
    config = std::move(value->as_object());
  }
  if (args.hf_overrides.is_object()) override_config(&config, args.hf_overrides.as_object());
  return config;
}

// The widest dtype among a checkpoint's matrices; vectors are held in float32 in any case.
DType widest_dtype(const Checkpoint& checkpoint) {
  bool f16 = false, bf16 = false;
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() < 2 || !is_float_kind(tensor.dtype)) continue;
    f16 |= tensor.dtype == DType::kF16;
    bf16 |= tensor.dtype == DType::kBF16;
    if (tensor.dtype == DType::kF32 || tensor.dtype == DType::kF64) return DType::kF32;
  }
  return f16 && bf16 ? DType::kF32 : f16 ? DType::kF16 : DType::kBF16;  // neither half holds the other
}

// --dtype auto: all weights as config.json names it, as vLLM does, but never wider than the checkpoint has
// any: that would cost memory and tell nothing new.
Result<DType> auto_dtype(const ModelSource& source) {
  const std::string& name = source.spec.config.stored_dtype;
  Result<std::optional<DType>> known = parse_dtype_flag(name);
  if (!known.ok())
    return invalid_argument("`dtype` of config.json is '" + name.substr(0, 80) +
                                "', not one of float32, bfloat16, float16: choose with --dtype",
                            "dtype");
  const std::optional<DType> named = *known;
  if (!source.checkpoint) return named.value_or(DType::kBF16);
  const DType widest = widest_dtype(*source.checkpoint);
  if (!named || *named == widest || *named == DType::kF32) return widest;
  log_info("Casting weights of {} to {}, as config.json says; --dtype chooses another.", dtype_name(widest),
           dtype_name(*named));
  return *named;
}

}  // namespace

Result<ModelSource> open_model(const ModelArgs& args) {
  ModelSource source;
  bool dummy = args.load_format == "dummy";
  if (!dummy && !args.hf_config.empty() && args.path.empty())
    return invalid_argument("--hf-config needs a model, or --load-format dummy", "hf-config");
  if (!dummy || !args.path.empty() || args.hf_config.empty()) {
    PAGODA_TRY(source.files, ModelFiles::open(args.path));
  }
  PAGODA_TRY(Object config, read_config(args, source.files));
  const Value config_json(std::move(config));
  source.config = write_json(config_json);
  Result<ModelSpec> spec = read_model_spec(config_json);
  if (!spec.ok()) {
    std::string where = args.hf_config.empty() ? source.files.path_of("config.json") : args.hf_config;
    return std::move(spec.status()).with_context("'" + where + "'");
  }
  source.spec = *std::move(spec);
  const int64_t context = source.spec.config.context_length, length = args.max_model_len.value_or(context);
  drop_idle_windows(&source.spec.config, length > 0 ? length : context);
  const std::vector<TensorSpec> tensors = tensor_list(source.spec);
  if (!dummy) {
    PAGODA_TRY(source.checkpoint, source.files.open_checkpoint());
    PAGODA_RETURN_IF_ERROR(check_tensors(*source.checkpoint, tensors, source.spec.ignored));
  }
  PAGODA_TRY(std::optional<DType> wanted, parse_dtype_flag(args.dtype));
  if (wanted) {
    source.formats.dtype = *wanted;
  } else {
    PAGODA_TRY(source.formats.dtype, auto_dtype(source));
  }
  PAGODA_TRY(source.formats.layers, parse_quantization(args.quantization, "quantization"));
  PAGODA_TRY(source.formats.vocabulary,
             parse_quantization(args.lm_head_quantization, "lm-head-quantization"));
  // The head decides between neighbouring tokens: 8 bits unless asked otherwise.
  if (source.formats.layers && args.lm_head_quantization.empty())
    source.formats.vocabulary = WeightFormat{WeightScheme::kInt8};
  source.used = source.formats.used(tensors, source.checkpoint.get());
  return source;
}

Result<DType> parse_kv_dtype(const std::string& name, DType of_the_model) {
  if (name == "int8" || name == "int8_per_token_head") return DType::kI8;
  if (name == "fp8" || name == "fp8_e4m3" || name == "fp8_per_token_head") return DType::kF8E4M3;
  PAGODA_TRY(std::optional<DType> wanted, parse_dtype_flag(name));
  return wanted.value_or(of_the_model);
}

}  // namespace pagoda
