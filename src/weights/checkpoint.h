// The weights room: what a checkpoint holds. Opens safetensors files (one, sharded, in memory), makes dummy
// ones, and hands each tensor's numbers over as the file has them; it packs nothing, widens only
// float kinds, and knows no model. Every byte of a file is judged before it is believed.
//
// A Checkpoint owns the mapped files and is read-only once open: any thread may read it. A HeldTensor's
// numbers live as long as both it and its checkpoint.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace pagoda {

// One tensor as a file's header describes it.
struct StoredTensor {
  std::string name, file;  // file: for error messages
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // row-major; of any alignment; empty where the numbers are made when read
};
std::string shape_text(std::span<const int64_t> shape);  // "[2, 3]"
// F32, F16, BF16, F64: what weights may be stored as, each tensor as it likes.
bool is_float_kind(DType dtype);

// Numbers at hand: a view into the checkpoint, or memory of its own.
struct HeldTensor {
  QuantTensor tensor;  // rank 1: rows = 1; higher ranks than 2: columns = all but the first
  Buffer owned;        // empty for a view
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // A *.safetensors file, or a folder: by model.safetensors.index.json, or model.safetensors, or all
  // *.safetensors in it. Errors: kNotFound, kIo, kInvalidArgument naming file and tensor, what was expected
  // and what was found.
  static Result<std::unique_ptr<Checkpoint>> open(const std::string& path);
  // A safetensors file in memory that outlives the checkpoint. `name` stands for the file in messages.
  static Result<std::unique_ptr<Checkpoint>> from_bytes(std::span<const std::byte> bytes,
                                                        const std::string& name);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // ascending by name
  const StoredTensor* find(std::string_view name) const;                 // nullptr: no such tensor
  // Requires: `tensor` is one of tensors().
  virtual HeldTensor read(const StoredTensor& tensor) const;
  // Hint: its pages will not be read again.
  virtual void release(const StoredTensor& tensor) const = 0;

 protected:
  explicit Checkpoint(std::vector<StoredTensor> tensors);  // sorts; names are unique

 private:
  std::vector<StoredTensor> tensors_;
};

// Numbers of a float kind as float32: widened, or rounded from F64.
Result<std::vector<float>> to_floats(const HeldTensor& held, const std::string& file);

}  // namespace pagoda
