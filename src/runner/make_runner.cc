#include "runner/make_runner.h"

#include <utility>
#include <vector>

#include "ops/cpu/cpu_stream.h"
#include "runner/cpu_tuning.h"
#include "runner/local_model_runner.h"

namespace pagoda {
namespace {

std::unique_ptr<CpuStream> make_cpu_stream(const CpuPlan& cpus) {
  const int spin_us = cpus.is_crowded        ? 0
                      : cpus.compute.empty() ? ComputePool::kSpinUs
                                             : ComputePool::kBoundSpinUs;
  return std::make_unique<CpuStream>(std::make_unique<ComputePool>(cpus.num_threads, spin_us, cpus.compute));
}

}  // namespace

Status select_kernels(const std::string& name) {
  for (Isa isa : kIsas)
    if (name == isa_name(isa)) return select_isa(isa);
  return {};
}

const OpTable& device_ops() {
  return cpu_ops();
}

std::unique_ptr<ComputeStream> make_compute_stream(const CpuPlan& cpus) {
  return make_cpu_stream(cpus);
}

Result<std::unique_ptr<ModelRunner>> make_runner(RunnerConfig config) {
  std::unique_ptr<CpuStream> stream = make_cpu_stream(config.cpus);
  const std::vector<int>& compute = config.cpus.compute;
  CpuBinding as_worker(compute.empty() ? compute : std::vector<int>{compute[0]});
  PAGODA_TRY(std::unique_ptr<Decoder> decoder, config.load(*stream));
  PAGODA_RETURN_IF_ERROR(
      tune_cpu(config.cpu_tune, *decoder, config.sizes.kv_dtype, config.sizes.block_size, stream.get()));
  return LocalModelRunner::create(config.sizes, std::move(stream), std::move(decoder),
                                  std::move(config.reload), std::move(config.offload));
}

}  // namespace pagoda
