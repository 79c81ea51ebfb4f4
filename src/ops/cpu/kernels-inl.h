// All kernels, in terms of the V that one of the vec_*-inl.h has defined before. Included by kernels_*.cc
// only, in this order.
// clang-format off
#include "ops/cpu/exp-inl.h"
#include "ops/cpu/rows-inl.h"
#include "ops/cpu/accumulators-inl.h"
#include "ops/cpu/matmul_tile-inl.h"
#include "ops/cpu/matmul_panels-inl.h"
#include "ops/cpu/quantize-inl.h"
#include "ops/cpu/attend-inl.h"
#include "ops/cpu/noise-inl.h"
// clang-format on
