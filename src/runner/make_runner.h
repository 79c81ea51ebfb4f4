// The one place that knows which backends there are.
#pragma once
#include <memory>
#include <string>

#include "runner/model_runner.h"
#include "runner/runner_config.h"

namespace pagoda {

// Chooses the kernels of this process: scalar, avx2, avx512, avx512_bf16; any other name leaves the best.
// Error kInvalidArgument: this CPU lacks them.
Status select_kernels(const std::string& name);

// The device's ops, for sizes that are planned before there is a stream.
const OpTable& device_ops();
// A stream of the device, with the host's threads as planned.
std::unique_ptr<ComputeStream> make_compute_stream(const CpuPlan& cpus);

// Loads the weights, tunes the kernels, and makes the runner. The calling thread is the first compute thread
// meanwhile. Errors: of config.load; a --cpu-tune file that cannot be read; kExhausted: no memory for the
// cache or the activations.
Result<std::unique_ptr<ModelRunner>> make_runner(RunnerConfig config);

}  // namespace pagoda
