// What the tests of ops share: arrays whose end no kernel can cross unseen, the instruction sets of this
// machine, numbers.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/isa.h"
#include "tensor/tensor.h"
#include "tests/testing/cpu_spans.h"

namespace pagoda::testing {

// `count` elements that end at an unreadable page (sanitizers do not see the loads and stores of intrinsics
// reliably), with canaries before them, checked when the array goes.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t count, T fill = T()) : count_(count) {
    const std::size_t used = static_cast<std::size_t>(count) * sizeof(T) + kCanaryBytes;
    const std::size_t pages = (used + kPage - 1) / kPage * kPage;
    map_bytes_ = pages + kPage;
    map_ = static_cast<std::byte*>(
        mmap(nullptr, map_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (map_ == MAP_FAILED) std::abort();
    mprotect(map_ + pages, kPage, PROT_NONE);
    data_ = reinterpret_cast<T*>(map_ + pages - static_cast<std::size_t>(count) * sizeof(T));
    std::memset(map_, kCanary, pages);
    for (int64_t i = 0; i < count; ++i) data_[i] = fill;
  }
  ~Guarded() {
    for (const std::byte* p = map_; p < reinterpret_cast<std::byte*>(data_); ++p)
      if (*p != std::byte{kCanary}) {
        ADD_FAILURE() << "something was written " << reinterpret_cast<std::byte*>(data_) - p
                      << " bytes before an array";
        break;
      }
    munmap(map_, map_bytes_);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }
  int64_t size() const { return count_; }

 private:
  static constexpr std::size_t kPage = 4096, kCanaryBytes = 256;
  static constexpr int kCanary = 0xA5;
  int64_t count_;
  std::size_t map_bytes_ = 0;
  std::byte* map_ = nullptr;
  T* data_ = nullptr;
};

// A guarded float32 matrix whose rows lie `gap` floats further apart than they are wide; the gaps are
// canaries.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns, int64_t gap = 0)
      : rows_(rows),
        columns_(columns),
        stride_(columns + gap),
        data_(rows * stride_ - (rows > 0 ? gap : 0), kGap) {
    for (int64_t r = 0; r < rows; ++r) std::fill_n(row(r), columns, 0.0f);
  }
  ~Matrix() {
    for (int64_t r = 0; r + 1 < rows_; ++r)
      for (int64_t c = columns_; c < stride_; ++c) EXPECT_EQ(row(r)[c], kGap) << "written between rows";
  }
  Tensor tensor() {
    Tensor t = Tensor::matrix(data_.data(), DType::kF32, rows_, columns_);
    t.row_stride = stride_;
    return t;
  }
  Tensor tensor(int64_t first, int64_t count) {
    Tensor t = tensor();
    t.data = row(first);
    t.shape[0] = count;
    return t;
  }
  float* row(int64_t r) { return data_.data() + r * stride_; }
  DeviceSpan<const float> span(int64_t r) { return {row(r), columns_}; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

 private:
  static constexpr float kGap = -12345.5f;
  int64_t rows_, columns_, stride_;
  Guarded<float> data_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  float normal() { return distribution_(engine_); }
  int below(int bound) { return static_cast<int>(engine_() % static_cast<uint32_t>(bound)); }
  void fill(Matrix& matrix, float scale = 1) {
    for (int64_t r = 0; r < matrix.rows(); ++r)
      for (int64_t c = 0; c < matrix.columns(); ++c) matrix.row(r)[c] = scale * normal();
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    std::shuffle(items.begin(), items.end(), engine_);
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> distribution_;
};

inline std::vector<Isa> machine_isas() {
  std::vector<Isa> isas;
  for (Isa isa : kIsas)
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

// Selects an instruction set for a scope.
class WithIsa {
 public:
  explicit WithIsa(Isa isa) : before_(selected_isa()) { EXPECT_TRUE(select_isa(isa).ok()); }
  ~WithIsa() { (void)select_isa(before_); }

 private:
  Isa before_;
};

struct Machine {
  explicit Machine(int threads) : pool(threads), stream(&pool) {}
  ComputePool pool;
  CpuStream stream;
};

inline bool same_bits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(float)) == 0;
}
// The rows of two matrices are equal in every bit.
inline void expect_same(Matrix& a, Matrix& b, const std::string& what) {
  ASSERT_EQ(a.rows(), b.rows());
  for (int64_t r = 0; r < a.rows(); ++r)
    ASSERT_TRUE(same_bits(a.row(r), b.row(r), a.columns())) << what << ", row " << r;
}

// A float rounded as a 16-bit dtype stores it.
inline float rounded_to(DType dtype, float x) {
  if (dtype == DType::kBF16) return bf16_to_float(float_to_bf16(x));
  if (dtype == DType::kF16) return f16_to_float(float_to_f16(x));
  return x;
}

}  // namespace pagoda::testing
