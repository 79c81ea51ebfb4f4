#include "model/families/rope.h"

#include <fmt/format.h>

#include <cmath>

namespace pagoda {
namespace {

constexpr int64_t kPositionsMax = 1 << 24;
constexpr const char* kOriginal = "original_max_position_embeddings";

void read_rotary_dim(ConfigReader* reader, const ModelConfig& config, RopeConfig* rope) {
  const int32_t head_dim = config.layers[0].attention.head_dim;
  const double rotated = reader->number("partial_rotary_factor", 1.0, 0, 1);
  rope->rotary_dim = static_cast<int32_t>(static_cast<double>(head_dim) * rotated);
  if (rope->rotary_dim < 2 || rope->rotary_dim % 2 != 0)
    reader->fail(
        fmt::format("`partial_rotary_factor` rotates {} of {} dimensions of a head: expected an even "
                    "number of them",
                    rope->rotary_dim, head_dim));
}

void read_llama3_scaling(ConfigReader* scaling, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::kLlama3;
  rope->factor = scaling->number("factor", {}, 1, 1e6);
  rope->low_freq_factor = scaling->number("low_freq_factor", {}, 1e-6, 1e6);
  rope->high_freq_factor = scaling->number("high_freq_factor", {}, 1e-6, 1e6);
  if (rope->high_freq_factor <= rope->low_freq_factor)
    scaling->fail("rope scaling: `high_freq_factor` must be above `low_freq_factor`");
}

void read_longrope_scaling(ConfigReader* scaling, const ModelConfig& config, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::kLongRope;
  const auto num_pairs = static_cast<std::size_t>(rope->rotary_dim / 2);
  rope->short_factors = scaling->numbers("short_factor", num_pairs, 1e-6, 1e6);
  rope->long_factors = scaling->numbers("long_factor", num_pairs, 1e-6, 1e6);
  const double original = rope->original_max_position_embeddings;
  const double factor =
      scaling->number("factor", static_cast<double>(config.context_length) / original, 1e-6, 1e8);
  const bool is_longer = factor > 1 && original > 1;
  rope->magnitude = scaling->number(
      "attention_factor", is_longer ? std::sqrt(1 + std::log(factor) / std::log(original)) : 1, 1e-6, 1e6);
}

}  // namespace

RopeConfig read_rope_object(ConfigReader* reader, const Value* object, const std::string& where,
                            const ModelConfig& config, double theta) {
  RopeConfig rope;
  read_rotary_dim(reader, config, &rope);
  rope.theta = theta;
  const int64_t original = reader->integer(kOriginal, config.context_length, 1, kPositionsMax);
  rope.original_max_position_embeddings = static_cast<double>(original);
  if (object == nullptr) return rope;

  ConfigReader scaling(*object, where);
  if (scaling.has("partial_rotary_factor")) read_rotary_dim(&scaling, config, &rope);
  rope.theta = read_theta(&scaling, "rope_theta", theta);
  if (!reader->has(kOriginal))  // as transformers has it, what stands beside the object comes first
    rope.original_max_position_embeddings =
        static_cast<double>(scaling.integer(kOriginal, original, 1, kPositionsMax));
  const std::string type = scaling.string("rope_type", scaling.string("type", "default"));
  if (type == "linear") {
    rope.scaling = RopeConfig::Scaling::kLinear;
    rope.factor = scaling.number("factor", {}, 1, 1e6);
  } else if (type == "llama3") {
    read_llama3_scaling(&scaling, &rope);
  } else if (type == "longrope" || type == "su") {
    read_longrope_scaling(&scaling, config, &rope);
  } else if (type != "default") {
    scaling.fail(fmt::format("`{}`: type '{}' is not supported, only default, linear, llama3 and longrope",
                             where, type));
  }
  if (!scaling.status().ok()) reader->fail(scaling.status().message());
  return rope;
}

double read_theta(ConfigReader* reader, const char* key, double fallback) {
  return reader->number(key, fallback, 1, 1e12);
}

void read_rope(ConfigReader* reader, ModelConfig* config, double default_theta) {
  const char* where = reader->has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  const double theta = read_theta(reader, "rope_theta", default_theta);
  config->ropes = {read_rope_object(reader, reader->object(where), where, *config, theta)};
  const RopeConfig& rope = config->ropes[0];
  if (rope.scaling != RopeConfig::Scaling::kLinear) return;
  config->context_length = static_cast<int64_t>(static_cast<double>(config->context_length) * rope.factor);
  if (config->context_length > kPositionsMax) reader->fail("the scaled context is too long");
}

}  // namespace pagoda
