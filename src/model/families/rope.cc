#include "model/families/rope.h"

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <optional>
#include <span>

#include "base/log.h"

namespace pagoda {
namespace {

constexpr int64_t kPositionsMax = 1 << 24;
constexpr const char* kOriginal = "original_max_position_embeddings";
constexpr const char *kFull = "full_attention", *kSliding = "sliding_attention";

struct RopeObject {
  const Value* value = nullptr;  // null: it is not there
  std::string where;
};

// The fields of one table of angles: those of an earlier object come before those of later ones, which are
// checked all the same.
class RopeFields {
 public:
  explicit RopeFields(std::span<const RopeObject> objects) {
    for (const RopeObject& object : objects)
      if (object.value != nullptr)
        objects_.push_back({ConfigReader(*object.value, object.where), object.where});
  }

  // Without a fallback the field is required.
  double number(std::string_view key, std::optional<double> fallback, double min, double max) {
    return first(key, fallback, [&](ConfigReader& reader) { return reader.number(key, {}, min, max); });
  }
  int64_t integer(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
    return first(key, std::optional(fallback),
                 [&](ConfigReader& reader) { return reader.integer(key, {}, min, max); });
  }
  std::vector<double> numbers(std::string_view key, std::size_t count, double min, double max) {
    return first(key, std::optional<std::vector<double>>(),
                 [&](ConfigReader& reader) { return reader.numbers(key, count, min, max); });
  }
  // `rope_type`, or `type` as older files call it; `where`: the field that says it.
  std::string type(std::string* where) {
    std::string type = "default";
    for (auto object = objects_.rbegin(); object != objects_.rend(); ++object) {
      Source& source = *object;
      const std::string older = source.reader.string("type", type);
      const bool has_both = source.reader.has("type") && source.reader.has("rope_type");
      if (source.reader.has("type")) *where = source.where + ".type";
      if (source.reader.has("rope_type")) *where = source.where + ".rope_type";
      type = source.reader.string("rope_type", older);
      if (has_both && type != older && !(type == "longrope" && older == "su"))
        source.reader.fail(fmt::format("`{}` is '{}', but `{}.type` is '{}'", *where, type.substr(0, 80),
                                       source.where, older.substr(0, 80)));
    }
    return type;
  }
  void fail(const std::string& message) {
    if (status().ok()) objects_.front().reader.fail(message);
  }
  Status status() const {
    for (const Source& source : objects_)
      if (!source.reader.status().ok()) return source.reader.status();
    return {};
  }

 private:
  struct Source {
    ConfigReader reader;
    std::string where;
  };

  template <class T, class Read>
  T first(std::string_view key, std::optional<T> value, const Read& read) {
    for (auto source = objects_.rbegin(); source != objects_.rend(); ++source)
      if (source->reader.has(key)) value = read(source->reader);
    return value ? *std::move(value) : read(objects_.front().reader);
  }

  std::vector<Source> objects_;
};

void read_llama3_scaling(RopeFields* fields, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::kLlama3;
  rope->factor = fields->number("factor", {}, 1, 1e6);
  rope->low_freq_factor = fields->number("low_freq_factor", {}, 1e-6, 1e6);
  rope->high_freq_factor = fields->number("high_freq_factor", {}, 1e-6, 1e6);
  if (rope->high_freq_factor <= rope->low_freq_factor)
    fields->fail("rope scaling: `high_freq_factor` must be above `low_freq_factor`");
}

void read_longrope_scaling(RopeFields* fields, const ModelConfig& config, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::kLongRope;
  const auto num_pairs = static_cast<std::size_t>(rope->rotary_dim / 2);
  rope->short_factors = fields->numbers("short_factor", num_pairs, 1e-6, 1e6);
  rope->long_factors = fields->numbers("long_factor", num_pairs, 1e-6, 1e6);
  const double original = rope->original_max_position_embeddings;
  const double factor =
      fields->number("factor", static_cast<double>(config.context_length) / original, 1e-6, 1e8);
  const bool is_longer = factor > 1 && original > 1;
  rope->magnitude = fields->number(
      "attention_factor", is_longer ? std::sqrt(1 + std::log(factor) / std::log(original)) : 1, 1e-6, 1e6);
}

void read_scaling(RopeFields* fields, const ModelConfig& config, RopeConfig* rope) {
  std::string where;
  const std::string type = fields->type(&where);
  if (type == "linear") {
    rope->scaling = RopeConfig::Scaling::kLinear;
    rope->factor = fields->number("factor", {}, 1, 1e6);
  } else if (type == "llama3") {
    read_llama3_scaling(fields, rope);
  } else if (type == "longrope" || type == "su") {
    read_longrope_scaling(fields, config, rope);
  } else if (type != "default") {
    fields->fail(fmt::format("`{}`: type '{}' is not supported, only default, linear, llama3 and longrope",
                             where, type.substr(0, 80)));
  }
}

// The defaults, with the theta that stands beside the objects.
RopeDefaults beside(ConfigReader* reader, const char* theta_key, RopeDefaults defaults) {
  defaults.theta = reader->number(theta_key, defaults.theta, 1, 1e12);
  return defaults;
}

// One table of angles: what the objects say, then `defaults` and what else stands beside them.
RopeConfig read_table(ConfigReader* reader, std::initializer_list<RopeObject> objects,
                      const ModelConfig& config, const RopeDefaults& defaults) {
  RopeFields fields(objects);
  RopeConfig rope;
  rope.theta = fields.number("rope_theta", defaults.theta, 1, 1e12);
  const int32_t head_dim = config.layers[0].attention.head_dim;
  const double rotated =
      fields.number("partial_rotary_factor", reader->number("partial_rotary_factor", 1.0, 0, 1), 0, 1);
  rope.rotary_dim = static_cast<int32_t>(static_cast<double>(head_dim) * rotated);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0)
    reader->fail(
        fmt::format("`partial_rotary_factor` rotates {} of {} dimensions of a head: expected an even "
                    "number of them",
                    rope.rotary_dim, head_dim));
  const int64_t context = defaults.original_context > 0 ? defaults.original_context : config.context_length;
  const int64_t inside = fields.integer(kOriginal, context, 1, kPositionsMax);
  rope.original_max_position_embeddings =
      static_cast<double>(reader->integer(kOriginal, inside, 1, kPositionsMax));
  read_scaling(&fields, config, &rope);
  if (const Status status = fields.status(); !status.ok()) reader->fail(status.message());
  return rope;
}

}  // namespace

void read_rope(ConfigReader* reader, ModelConfig* config, const RopeDefaults& defaults) {
  const Value *scaling = reader->object("rope_scaling"), *parameters = reader->object("rope_parameters");
  for (const char* kind : {kFull, kSliding})
    if (parameters != nullptr && parameters->find(kind) != nullptr)
      reader->fail(
          fmt::format("`rope_parameters.{}`: the layers of this architecture share their angles; "
                      "expected its members in `rope_parameters`",
                      kind));
  config->ropes = {read_table(reader, {{scaling, "rope_scaling"}, {parameters, "rope_parameters"}}, *config,
                              beside(reader, "rope_theta", defaults))};
  const RopeConfig& rope = config->ropes[0];
  if (rope.scaling != RopeConfig::Scaling::kLinear) return;
  config->context_length = static_cast<int64_t>(static_cast<double>(config->context_length) * rope.factor);
  if (config->context_length > kPositionsMax) reader->fail("the scaled context is too long");
}

void read_ropes_by_kind(ConfigReader* reader, ModelConfig* config, const RopeDefaults& full_defaults,
                        const RopeDefaults& sliding_defaults) {
  const std::string where = "rope_parameters";
  const Value *full = nullptr, *sliding = nullptr, *scaling = reader->object("rope_scaling");
  if (const Value* parameters = reader->object(where); parameters != nullptr) {
    ConfigReader by_kind(*parameters, where);
    full = by_kind.object(kFull);
    sliding = by_kind.object(kSliding);
    for (const Member& member : parameters->as_object()) {
      if (member.key == kFull || member.key == kSliding || member.value.is_null()) continue;
      const std::string text = fmt::format("`{}.{}`: expected in the objects `{}` or `{}`, by kind of layer",
                                           where, member.key.substr(0, 80), kFull, kSliding);
      if (full == nullptr && sliding == nullptr)
        by_kind.fail(text);
      else
        log_warning("config.json: {}; not used", text);
    }
    if (!by_kind.status().ok()) reader->fail(by_kind.status().message());
  }
  config->ropes = {read_table(reader, {{scaling, "rope_scaling"}, {full, where + "." + kFull}}, *config,
                              beside(reader, "rope_theta", full_defaults)),
                   read_table(reader, {{sliding, where + "." + kSliding}}, *config,
                              beside(reader, "rope_local_base_freq", sliding_defaults))};
}

}  // namespace pagoda
