// What this machine can do, measured in this process, and the least time that a step can take by it.
#pragma once
#include <cstdint>

#include "base/thread_pool.h"
#include "model/config.h"

namespace pagoda {

// Of all threads of the pool together. Operations: a multiply and an add are two. 0: the CPU lacks it.
struct MachineRates {
  double read_bytes_per_s = 0;  // a buffer of 1 GiB, beyond every cache
  double fma_f32 = 0;           // vfmadd231ps on 512 bits
  double dot_bf16 = 0;          // vdpbf16ps
  double dot_int8 = 0;          // vpdpbusd
};
// The best of some rounds; about two seconds.
MachineRates probe_machine(ComputePool& pool);
double probe_read_bandwidth(ComputePool& pool);

// What a step must read and compute.
struct StepCost {
  double weight_bytes = 0, kv_bytes = 0;
  double linear_ops = 0, attention_ops = 0;
  StepCost& operator+=(const StepCost& other);
};

// A model's sizes as costs.
struct ModelCost {
  double layer_params = 0, head_params = 0;  // read by every step, and computed by every token (sample)
  double weight_bytes = 0;                   // read by every step: without the table of an untied embedding
  double kv_token_bytes = 0;                 // of one token in all layers
  double attention_ops_per_pair = 0;         // of one query token with one key token in all layers
};
// weight_bytes: all of the model, as held. embedding_bytes: of a table that no product reads; 0 if tied.
ModelCost model_cost(const ModelConfig& config, double weight_bytes, double embedding_bytes,
                     double kv_token_bytes);
// `num_tokens` new tokens of each of `num_seqs` sequences with `context` tokens before them; one sample each
// if `samples`. Windows are not looked at.
StepCost step_cost(const ModelCost& model, int64_t num_seqs, double context, int64_t num_tokens,
                   bool samples);

// max(weights read, linear operations) + max(cache read, attention operations): products and attention take
// turns.
double least_seconds(const StepCost& cost, const MachineRates& rates, double linear_peak,
                     double attention_peak);

// probe_avx512.cc: so many rounds of one instruction; the operations done. Requires: the CPU has it.
double fma_f32_ops(int64_t rounds);
double dot_bf16_ops(int64_t rounds);
double dot_int8_ops(int64_t rounds);

}  // namespace pagoda
