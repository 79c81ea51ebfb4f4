// The weights room: what a checkpoint holds, as the model means it. Opens safetensors files (one, sharded, in
// memory), makes dummy ones, and gives each weight under the model's name, whatever files and tensors it is
// stored in; it packs nothing and knows no model. Every byte of a file is checked before it is believed.
//
// A Checkpoint owns the mapped files and is read-only once open: any thread may read it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "tensor/weight.h"

namespace pagoda {

// One tensor before its numbers are read.
struct StoredTensor {
  std::string name, file;  // file: for error messages
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // row-major; of any alignment; empty where the numbers are made when read
  Quantization quant = {};          // of a weight that is stored as codes; shape is the weight's
};
std::string shape_text(std::span<const int64_t> shape);  // "[2, 3]"
// F32, F16, BF16, F64: what weights may be stored as, each tensor as it likes.
bool is_float_kind(DType dtype);

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

  // What a model may ask for, ascending by name. A weight that is stored as several tensors (codes, scales,
  // zero points) is one.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;  // nullptr: no such tensor
  // What the files hold, tensor by tensor.
  virtual const std::vector<StoredTensor>& stored() const { return tensors_; }

  // The tensor of this name as a matrix: a vector is its one row, the leading dimensions of more than two are
  // rows. Errors: kInvalidArgument where there is none, or where what it is stored as does not make one.
  virtual Result<Weight> weight(std::string_view name) const;
  // Hint: these bytes of a stored() tensor or of a Weight will not be read again. Others are left alone.
  virtual void release(std::span<const std::byte> bytes) const = 0;

 protected:
  explicit Checkpoint(std::vector<StoredTensor> tensors);  // sorts; names are unique

 private:
  std::vector<StoredTensor> tensors_;
};

// A tensor of a float kind as float32: widened, or rounded from F64. Errors: those of weight(); another kind.
Result<std::vector<float>> read_floats(const Checkpoint& checkpoint, std::string_view name);

}  // namespace pagoda
