#include "model/config_overrides.h"

#include <algorithm>
#include <string_view>

namespace pagoda {
namespace {

// What a member also stands for in other spellings.
struct Spelling {
  std::string_view member, path;
};
constexpr Spelling kSpellings[] = {
    {"torch_dtype", "dtype"},
    {"dtype", "torch_dtype"},
    {"rope_parameters", "rope_scaling"},
    {"rope_theta", "rope_scaling.rope_theta"},
    {"rope_theta", "rope_parameters.rope_theta"},
    {"rope_theta", "rope_parameters.full_attention.rope_theta"},
    {"rope_local_base_freq", "rope_parameters.sliding_attention.rope_theta"},
    {"partial_rotary_factor", "rope_scaling.partial_rotary_factor"},
    {"partial_rotary_factor", "rope_parameters.partial_rotary_factor"},
    {"partial_rotary_factor", "rope_parameters.full_attention.partial_rotary_factor"},
    {"partial_rotary_factor", "rope_parameters.sliding_attention.partial_rotary_factor"},
};

Object* object_at(Object* object, std::string_view key) {
  Value* value = object == nullptr ? nullptr : object->find(key);
  return value != nullptr && value->is_object() ? &value->as_object() : nullptr;
}

void erase_path(Object* object, std::string_view path) {
  for (std::size_t dot; object != nullptr && (dot = path.find('.')) != path.npos; path.remove_prefix(dot + 1))
    object = object_at(object, path.substr(0, dot));
  if (object != nullptr) object->erase(path);
}

void erase_scaling(Object* parameters) {
  constexpr std::string_view kKept[] = {"rope_theta", "partial_rotary_factor", "full_attention",
                                        "sliding_attention"};
  if (parameters == nullptr) return;
  Object kept;
  for (const Member& member : *parameters)
    if (std::ranges::find(kKept, member.key) != std::end(kKept)) kept.append(member.key, member.value);
  *parameters = std::move(kept);
}

}  // namespace

void override_config(Object* config, const Object& overrides) {
  for (const Spelling& spelling : kSpellings) {
    const bool is_overridden = overrides.find(spelling.path.substr(0, spelling.path.find('.'))) != nullptr;
    if (overrides.find(spelling.member) != nullptr && !is_overridden) erase_path(config, spelling.path);
  }
  if (overrides.find("rope_scaling") != nullptr) {
    Object* parameters = object_at(config, "rope_parameters");
    erase_scaling(parameters);
    erase_scaling(object_at(parameters, "full_attention"));
  }
  for (const Member& member : overrides) config->set(member.key, member.value);
}

}  // namespace pagoda
