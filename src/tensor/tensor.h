// The tensor room: what numbers lie where. Tensor is a view that owns nothing; Buffer owns bytes; Weight
// (weight.h) is a weight matrix as a checkpoint stores it. No arithmetic here.
#pragma once
#include <array>
#include <cstdint>

#include "base/check.h"
#include "tensor/dtype.h"

namespace pagoda {

// 64-byte aligned bytes of host memory. From 2 MB on they are fresh pages, huge ones where the system has
// them, aligned to 2 MB: a page is taken when it is first touched, on the NUMA node of the thread that does,
// so the threads that will read a part should be the ones to write it. Throws std::bad_alloc.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);              // zeroed
  static Buffer uninitialized(std::size_t bytes);  // for what will be written anyway
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  ~Buffer();
  void* data() { return data_; }
  const void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  // All zero again; whole pages of a large one go back to the system until they are touched.
  void clear();

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A view of a dense row-major array of up to four dimensions in device memory (device_memory.h). row_stride
// lets a view show some columns of a wider matrix.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int32_t rank = 0;
  std::array<int64_t, 4> shape{};
  int64_t row_stride = 0;  // elements between rows of dimension 0

  static Tensor matrix(void* data, DType dtype, int64_t rows, int64_t columns) {
    return {data, dtype, 2, {rows, columns, 0, 0}, columns};
  }
  int64_t rows() const { return shape[0]; }
  int64_t columns() const { return shape[1]; }
  template <class T>
  T* row(int64_t index) const {
    PAGODA_DCHECK(sizeof(T) == dtype_bytes(dtype), "element size");
    return static_cast<T*>(data) + index * row_stride;
  }
};

}  // namespace pagoda
