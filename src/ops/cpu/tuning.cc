#include "ops/cpu/tuning.h"

namespace pagoda {

std::span<const TuningField> tuning_fields() {
  static constexpr TuningField kFields[] = {
      {"near_bytes", &CpuTuning::near_bytes, 0, 1 << 16},
      {"near_past_l2", &CpuTuning::near_past_l2, 0, 1},
      {"stream_threads", &CpuTuning::stream_threads, 0, 1024},
      {"tile_rows", &CpuTuning::tile_rows, 1, 6},
      {"block_rows", &CpuTuning::block_rows, 1, 256},
      {"slice_words", &CpuTuning::slice_words, 32, 1 << 16},
      {"attention_ahead", &CpuTuning::attention_ahead, 0, 1},
      {"attention_rows", &CpuTuning::attention_rows, 1, 1024},
      {"attention_row_chunk", &CpuTuning::attention_row_chunk, 1, 24},
      {"attention_streamed_rows", &CpuTuning::attention_streamed_rows, 0, 1024},
      {"attention_items", &CpuTuning::attention_items, 1, 64},
      {"pieces", &CpuTuning::pieces, 1, 1024},
      {"work_per_thread", &CpuTuning::work_per_thread, 1 << 10, 1 << 24},
      {"spin_us", &CpuTuning::spin_us, 0, 1000},
  };
  return kFields;
}

Value tuning_to_value(const CpuTuning& tuning) {
  Object object;
  for (const TuningField& field : tuning_fields()) object.append(field.name, tuning.*field.value);
  return object;
}

Result<CpuTuning> tuning_of_value(const Value& value) {
  if (!value.is_object())
    return invalid_argument(std::string("a tuning is an object, not ") + value.type_name());
  CpuTuning tuning;
  for (const Member& member : value.as_object()) {
    const TuningField* found = nullptr;
    for (const TuningField& field : tuning_fields())
      if (member.key == field.name) found = &field;
    if (found == nullptr) return invalid_argument("'" + member.key + "' is not a field of a tuning");
    if (!member.value.is_int() || member.value.as_int() < found->least || member.value.as_int() > found->most)
      return invalid_argument("'" + member.key + "' must be a whole number from " +
                              std::to_string(found->least) + " to " + std::to_string(found->most));
    tuning.*found->value = member.value.as_int();
  }
  return tuning;
}

std::string tuning_text(const CpuTuning& tuning) {
  const CpuTuning defaults;
  std::string text;
  for (const TuningField& field : tuning_fields())
    if (tuning.*field.value != defaults.*field.value)
      text +=
          (text.empty() ? "" : ", ") + std::string(field.name) + " " + std::to_string(tuning.*field.value);
  return text.empty() ? "the defaults" : text;
}

}  // namespace pagoda
