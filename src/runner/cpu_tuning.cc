#include "runner/cpu_tuning.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "base/env.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mmap.h"
#include "ops/cpu/calibrate.h"
#include "ops/cpu/tuning_file.h"

namespace pagoda {
namespace {

// The lines of /proc/cpuinfo that name the model of the first CPU.
std::string cpu_name() {
  Result<std::string> text = read_file("/proc/cpuinfo", std::size_t{64} << 20);
  if (!text.ok()) return "an unknown CPU";
  const std::set<std::string_view> wanted = {"vendor_id",  "cpu family",      "model",
                                             "model name", "stepping",        "cache size",
                                             "CPU part",   "CPU implementer", "CPU variant"};
  std::string name;
  for (std::string_view rest = *text; !rest.empty() && rest.front() != '\n';) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::string_view key = line.substr(0, line.find_first_of("\t:"));
    if (!wanted.contains(key) || line.find(": ") == std::string_view::npos) continue;
    name +=
        (name.empty() ? "" : ", ") + std::string(key) + " " + std::string(line.substr(line.find(": ") + 2));
  }
  return name;
}

// Which kernels were timed: the program's own bytes.
std::string program_hash() {
  Result<MappedFile> program = MappedFile::open("/proc/self/exe");
  return program.ok() ? hash128(program->bytes()).hex() : "unknown";
}

// What a tuning depends on beside the program.
std::string machine_and_model(const CalibrationModel& model, const Decoder& decoder,
                              const CpuStream& stream) {
  std::string formats;
  std::set<std::string> seen;
  for (const PackedWeight* weight : model.weights)
    if (seen.insert(format_name(weight->header().format)).second)
      formats += format_name(weight->header().format) + " ";
  return fmt::format("{}; {} kernels, {} threads; {}x {} {}, cache {} {}x{}x{} in blocks of {}", cpu_name(),
                     stream.kernels_name(), stream.pool().num_threads(), decoder.config().hidden_size,
                     decoder.config().layers[0].mlp.intermediate_size, formats, dtype_name(model.kv_dtype),
                     model.num_heads, model.num_kv_heads, model.head_dim, model.block_size);
}

}  // namespace

std::string user_cache_folder() {
  if (std::optional<std::string> cache = environment("XDG_CACHE_HOME"); cache && cache->starts_with('/'))
    return *cache + "/pagoda";
  const std::optional<std::string> home = environment("HOME");
  return home && home->starts_with('/') ? *home + "/.cache/pagoda" : "";
}

Status tune_cpu(const CpuTuneOptions& options, const Decoder& decoder, DType kv_dtype, int32_t block_size,
                CpuStream* stream) {
  if (options.how == "off") return {};
  const bool is_auto = options.how == "auto";
  const auto use = [&](const CpuTuning& tuning) { stream->set_tuning(tuning); };
  if (!is_auto) {
    Result<TuningFile> file = read_tuning_file(options.how);
    if (file.ok()) {
      log_info("CPU tuning of '{}': {}", options.how, tuning_text(file->tuning));
      use(file->tuning);
      return {};
    }
    if (file.status().code() != StatusCode::kNotFound)
      return std::move(file.status()).with_context("--cpu-tune");
  }
  std::size_t bytes = 0;
  const AttentionConfig& shape = decoder.config().layers[0].attention;
  const CalibrationModel model{decoder.matrices(), kv_dtype,       shape.num_heads,
                               shape.num_kv_heads, shape.head_dim, block_size};
  for (const PackedWeight* weight : model.weights) bytes += weight->bytes();
  if (bytes < kCalibrationBytes) {
    log_debug("CPU tuning: the defaults, for a model too small to be timed");
    return {};
  }
  const std::string made_for = machine_and_model(model, decoder, *stream);
  const std::string folder = options.folder.empty() ? user_cache_folder() : options.folder;
  const std::string path =
      !is_auto         ? options.how
      : folder.empty() ? ""
                       : fmt::format("{}/cpu-tuning-{}.json", folder, hash128(made_for).hex().substr(0, 16));
  const std::string stamp = made_for + "; program " + program_hash();
  if (is_auto && !path.empty()) {
    Result<TuningFile> file = read_tuning_file(path);
    if (file.ok() && file->made_for == stamp) {
      log_info("CPU tuning of '{}': {}", path, tuning_text(file->tuning));
      use(file->tuning);
      return {};
    }
    if (!file.ok() && file.status().code() != StatusCode::kNotFound)
      log_warning("CPU tuning is measured anew: {}.", file.status().message());
  }
  const Calibration found = calibrate(model, *stream);
  log_info("CPU tuning, {}{}", calibration_text(found), found.disturbed ? ": it is not kept" : "");
  use(found.tuning);
  if (path.empty() || found.disturbed) return {};
  Status status = write_tuning_file(path, {stamp, found.tuning});
  if (!status.ok()) log_warning("CPU tuning is not kept: {}.", status.message());
  return {};
}

}  // namespace pagoda
