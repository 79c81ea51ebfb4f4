// Finds by timing which CpuTuning suits this machine and model. What is timed is the ops themselves, on the
// model's own packed weights and on a cache of its shape, spread over more memory than caches hold. All
// candidates give the same bits, so that a wrong answer costs time and nothing else.
#pragma once
#include <string>
#include <vector>

#include "ops/cpu/cpu_stream.h"
#include "ops/matmul.h"
#include "tensor/dtype.h"

namespace pagoda {

struct CalibrationModel {
  std::vector<const PackedWeight*> weights;  // what every step reads
  DType kv_dtype = DType::kBF16;
  int32_t num_heads = 0, num_kv_heads = 0, head_dim = 0, block_size = 16;
};

struct Calibration {
  CpuTuning tuning;
  double seconds = 0;           // that it took
  double read_bytes_per_s = 0;  // of weights, with one row and the tuning chosen
  double gain = 0;              // of that over the defaults, 0.1: a tenth faster
  bool disturbed = false;       // others took the CPUs: worth another try later
};

// Below so many bytes of weights a step is too short for the choice to matter, or to be timed.
inline constexpr std::size_t kCalibrationBytes = std::size_t{64} << 20;

// Takes at most about `seconds`; what has not been asked by then keeps its default. A candidate is taken only
// where its best time and its median are clearly better than the default's, and where no other process took
// the CPUs meanwhile. Leaves the stream's tuning as it was. Requires: weights of kCalibrationBytes.
Calibration calibrate(const CalibrationModel& model, CpuStream& stream, double seconds = 0.09);

// "measured in 92 ms: near_bytes 2048; one stream reads weights at 47.2 GB/s (+4 %)"
std::string calibration_text(const Calibration& found);

// Everything that calibrate() may choose, one change from the defaults each; for tests.
std::vector<CpuTuning> calibration_candidates();

}  // namespace pagoda
