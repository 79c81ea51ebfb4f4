#include "ops/attention.h"

#include <atomic>
#include <cstring>

#include "ops/cpu/run.h"

namespace pagoda {
namespace {

using namespace cpu;

// A block holds, per KV head, round16(block_size) x round16(head_dim) elements of K and as many of V.
int64_t head_stride(int64_t head_dim, int64_t block_size) {
  return round_up_lanes(block_size) * round_up_lanes(head_dim);
}

// Rows (queries x heads of a group) that share one pass over K and V.
constexpr int64_t kRowsPerItem = 48;
// Bytes of partial results that may wait for their combination when few sequences are split over many
// threads.
constexpr int64_t kMaxPartialBytes = int64_t{64} << 20;

// The step's attention as independent items: (sequence, tile of queries, KV head), in this order.
class Plan {
 public:
  Plan(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch, int32_t num_heads,
       Stream& stream)
      : out_(out), q_(q), kv_(kv), batch_(batch), stream_(stream), group_(num_heads / kv.num_kv_heads) {
    tile_ = std::max<int64_t>(kRowsPerItem / group_, 1);
    index_items(stream.shared(index_bytes()));
    for (int32_t seq = 0; seq < batch.num_seqs; ++seq) {
      const int64_t queries = num_queries(seq);
      work_ += queries * num_heads * kv.head_dim * 2 * batch.seq_lens[seq];
      if (queries > 0) max_parts_ = std::max(max_parts_, (batch.seq_lens[seq] + kPartition - 1) / kPartition);
    }
    state_floats_ = tile_ * group_ * attn_state_stride(kv.head_dim);
  }

  void run() {
    const int64_t items = first_item_[batch_.num_seqs], threads = stream_.pool().num_threads();
    const int64_t partials = items * max_parts_ * state_floats_ * static_cast<int64_t>(sizeof(float));
    if (threads == 1 || work_ < kWorkPerThread) {
      for (int64_t item = 0; item < items; ++item) whole_item(item, 0);
    } else if (items >= 2 * threads || max_parts_ == 1 || partials > kMaxPartialBytes) {
      // Late tiles of a prompt have the most keys to read: they go first.
      spread(items, [&](int64_t i, int worker) { whole_item(items - 1 - i, worker); });
    } else {
      run_partitions(items);
    }
  }

 private:
  template <class Job>
  void spread(int64_t count, Job&& job) {
    std::atomic<int64_t> next{0};  // who does what changes no bit
    stream_.pool().run([&](int worker) {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) job(i, worker);
    });
  }

  int64_t num_queries(int64_t seq) const {
    return batch_.query_start_loc[seq + 1] - batch_.query_start_loc[seq];
  }
  std::size_t index_bytes() const {
    return (static_cast<std::size_t>(batch_.num_seqs + 1) * sizeof(int64_t) + 63) / 64 * 64;
  }
  void index_items(void* memory) {
    first_item_ = static_cast<int64_t*>(memory);
    first_item_[0] = 0;
    for (int32_t seq = 0; seq < batch_.num_seqs; ++seq)
      first_item_[seq + 1] = first_item_[seq] + (num_queries(seq) + tile_ - 1) / tile_ * kv_.num_kv_heads;
  }

  AttnTask task_of(int64_t item, int worker) {
    const int64_t* found = std::upper_bound(first_item_, first_item_ + batch_.num_seqs + 1, item) - 1;
    const int64_t seq = found - first_item_, local = item - *found;
    const int64_t head = local % kv_.num_kv_heads, first = local / kv_.num_kv_heads * tile_;
    const int64_t start = batch_.query_start_loc[seq], queries = num_queries(seq);
    const int64_t stride = head_stride(kv_.head_dim, kv_.block_size),
                  element = static_cast<int64_t>(dtype_bytes(kv_.dtype));
    AttnTask task{};
    task.elem = elem_of(kv_.dtype);
    task.head_dim = kv_.head_dim;
    task.block_size = kv_.block_size;
    task.group = static_cast<int32_t>(group_);
    task.num_queries = static_cast<int32_t>(std::min(tile_, queries - first));
    task.first_position = static_cast<int32_t>(batch_.seq_lens[seq] - queries + first);
    task.window = batch_.window;
    task.scale = batch_.scale;
    task.softcap = batch_.softcap;
    task.q = q_.row<float>(start + first) + head * group_ * kv_.head_dim;
    task.q_stride = q_.row_stride;
    task.k = static_cast<const std::byte*>(kv_.k) + head * stride * element;
    task.v = static_cast<const std::byte*>(kv_.v) + head * stride * element;
    task.block_stride = stride * kv_.num_kv_heads;
    task.block_table = batch_.block_table + seq * batch_.max_blocks;
    task.out = out_.row<float>(start + first) + head * group_ * kv_.head_dim;
    task.out_stride = out_.row_stride;
    task.scratch = scratch(worker) + 2 * state_floats_;
    return task;
  }
  // This worker's: two states, then the kernel's scratch.
  float* scratch(int worker) {
    const std::size_t states = static_cast<std::size_t>(2 * state_floats_) * sizeof(float);
    return static_cast<float*>(
        stream_.scratch(worker, states + attn_scratch_bytes(tile_ * group_, kv_.head_dim)));
  }
  struct Parts {
    int64_t begin, end;
  };
  static Parts parts_of(const AttnTask& task) {
    const int64_t last = task.first_position + task.num_queries - 1;
    const int64_t first =
        task.window > 0 ? std::max<int64_t>(0, int64_t{task.first_position} - task.window + 1) : 0;
    return {first / kPartition, last / kPartition + 1};
  }

  void whole_item(int64_t item, int worker) {
    AttnTask task = task_of(item, worker);
    float* total = scratch(worker);
    float* part_state = total + state_floats_;
    kernels().attention.reset(task, total);
    for (auto [part, end] = parts_of(task); part < end; ++part) {
      kernels().attention.partition(task, part, part_state);
      kernels().attention.merge(task, total, part_state);
    }
    kernels().attention.finish(task, total);
  }

  // Few items, long contexts: the partitions of an item go to different threads, then are merged as
  // whole_item() does.
  void run_partitions(int64_t items) {
    const auto states = static_cast<std::size_t>(items * max_parts_ * state_floats_);
    auto* shared = static_cast<std::byte*>(stream_.shared(index_bytes() + states * sizeof(float)));
    index_items(shared);  // the memory may be another one now
    auto* partials = reinterpret_cast<float*>(shared + index_bytes());
    spread(items * max_parts_, [&](int64_t i, int worker) {
      AttnTask task = task_of(i / max_parts_, worker);
      const Parts parts = parts_of(task);
      const int64_t part = i % max_parts_;
      if (part >= parts.begin && part < parts.end)
        kernels().attention.partition(task, part, partials + i * state_floats_);
    });
    spread(items, [&](int64_t item, int worker) {
      AttnTask task = task_of(item, worker);
      float* total = scratch(worker);
      kernels().attention.reset(task, total);
      for (auto [part, end] = parts_of(task); part < end; ++part)
        kernels().attention.merge(task, total, partials + (item * max_parts_ + part) * state_floats_);
      kernels().attention.finish(task, total);
    });
  }

  const Tensor& out_;
  const Tensor& q_;
  const KvLayerView& kv_;
  const AttnBatch& batch_;
  Stream& stream_;
  int64_t group_, tile_ = 1, work_ = 0, max_parts_ = 1, state_floats_ = 0;
  int64_t* first_item_ = nullptr;  // [num_seqs + 1] prefix sums of items
};

}  // namespace

std::size_t kv_block_bytes(DType dtype, int32_t num_kv_heads, int32_t head_dim, int32_t block_size) {
  return static_cast<std::size_t>(num_kv_heads * head_stride(head_dim, block_size)) * dtype_bytes(dtype);
}

void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              Stream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t columns = int64_t{kv.num_kv_heads} * kv.head_dim;
  check_matrix(k, k.rows(), columns);
  check_matrix(v, k.rows(), columns);
  PAGODA_CHECK(k.rows() >= batch.num_tokens && kv.block_size == batch.block_size, "K and V of another batch");
  split(stream, batch.num_tokens, 16 * columns, [&](int64_t begin, int64_t end) {
    KvStoreTask task{elem_of(kv.dtype), kv.num_kv_heads, kv.head_dim, kv.block_size, kv.k, kv.v};
    task.head_stride = head_stride(kv.head_dim, kv.block_size);
    task.block_stride = task.head_stride * kv.num_kv_heads;
    for (int64_t t = begin; t < end; ++t) {
      if (batch.slot_mapping[t] < 0) continue;
      task.key = k.row<float>(t);
      task.value = v.row<float>(t);
      task.slot = batch.slot_mapping[t];
      kernels().attention.kv_store(task);
    }
  });
}

void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, Stream& stream) {
  const OpTimer timer(stream, OpKind::kAttention);
  if (batch.num_seqs == 0) return;
  PAGODA_CHECK(kv.num_kv_heads > 0 && num_heads % kv.num_kv_heads == 0,
               "heads must be a multiple of KV heads");
  PAGODA_CHECK(kv.head_dim > 0 && kv.head_dim <= kMaxHeadDim && kv.block_size == batch.block_size,
               "head_dim or block_size");
  check_matrix(q, q.rows(), int64_t{num_heads} * kv.head_dim);
  check_matrix(out, q.rows(), int64_t{num_heads} * kv.head_dim);
  PAGODA_CHECK(q.rows() >= batch.query_start_loc[batch.num_seqs], "fewer queries than the batch has");
  Plan(out, q, kv, batch, num_heads, stream).run();
}

void kv_copy_block(const KvLayerView& kv, int32_t src_block, int32_t dst_block) {
  const std::size_t bytes = kv_block_bytes(kv.dtype, kv.num_kv_heads, kv.head_dim, kv.block_size);
  for (void* base : {kv.k, kv.v}) {
    auto* blocks = static_cast<std::byte*>(base);
    std::memcpy(blocks + static_cast<std::size_t>(dst_block) * bytes,
                blocks + static_cast<std::size_t>(src_block) * bytes, bytes);
  }
}

}  // namespace pagoda
