// All kernels, in terms of the V that one of the vec_*.h has defined before. Included by kernels_*.cc only,
// in this order.
// clang-format off
#include "ops/cpu/exp.h"
#include "ops/cpu/rows.h"
#include "ops/cpu/block.h"
#include "ops/cpu/matmul_tile.h"
#include "ops/cpu/matmul_panels.h"
#include "ops/cpu/quantize.h"
#include "ops/cpu/attend.h"
#include "ops/cpu/noise.h"
// clang-format on
