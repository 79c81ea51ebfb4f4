#include "ops/attention.h"

#include <algorithm>
#include <atomic>

#include "ops/check_shapes.h"
#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {
namespace {

KvFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return KvFormat::kF32;
    case DType::kF16:
      return KvFormat::kF16;
    case DType::kBF16:
      return KvFormat::kBF16;
    case DType::kI8:
      return KvFormat::kInt8;
    case DType::kF8E4M3:
      return KvFormat::kFp8;
    default:
      PAGODA_CHECK(false, "no KV cache of this dtype");
  }
  return KvFormat::kF32;
}
KvPanels panels_of(const KvLayout& kv) {
  return kv_panels(format_of(kv.dtype), kv.num_kv_heads, kv.k_dim, kv.v_dim, kv.block_size);
}

// Bytes of partial results that may wait to be combined when contexts are split over threads.
constexpr int64_t kMaxPartialBytes = int64_t{64} << 20;

// Some queries of one sequence, some KV heads, some partitions.
struct Item {
  int64_t cost = 0;  // about the clock cycles of one AVX-512 core
  int32_t seq = 0, query = 0, num_queries = 0, head = 0, num_heads = 0;
  int32_t part_begin = 0, part_end = 0;
  int64_t partial = -1;  // floats into the partial states; -1: the item merges and finishes by itself
};

// The step's attention as items that depend on nothing. Which thread does which, and how the work is cut,
// changes no bit: a row's partitions are always the same, and are merged in ascending order.
class Plan {
 public:
  Plan(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch, int32_t num_heads,
       CpuStream& stream)
      : out_(out),
        q_(q),
        kv_(kv),
        batch_(batch),
        stream_(stream),
        tuning_(stream.tuning()),
        format_(format_of(kv.layout.dtype)),
        layout_(panels_of(kv.layout)),
        head_dim_(kv.layout.k_dim),
        group_(num_heads / kv.layout.num_kv_heads) {
    each_whole([&](const Item& item) {
      total_cost_ += item.cost;
      max_rows_ = std::max(max_rows_, item.num_queries * group_ * item.num_heads);
    });
  }

  void run() {
    const int64_t threads = stream_.pool().num_threads();
    const bool alone = threads == 1 || total_cost_ < tuning_.work_per_thread;
    largest_ = alone ? INT64_MAX : total_cost_ / (threads * tuning_.attention_items);
    count_items();
    auto* memory = static_cast<std::byte*>(stream_.shared(static_cast<std::size_t>(
        (num_items_ + num_merges_) * static_cast<int64_t>(sizeof(Item)) + partial_floats_ * 4 + 64)));
    partials_ = reinterpret_cast<float*>(memory);
    items_ = reinterpret_cast<Item*>(memory + (partial_floats_ * 4 + 63) / 64 * 64);
    list_items();
    if (alone) {
      for (int64_t i = 0; i < num_items_; ++i) work_on(items_[i], 0);
      return;
    }
    // The longest first: the last ones to run even out when the threads end.
    std::sort(items_, items_ + num_items_, [](const Item& a, const Item& b) { return a.cost > b.cost; });
    spread(num_items_, [&](int64_t i, int worker) { work_on(items_[i], worker); });
    if (num_merges_ > 0)
      spread(num_merges_, [&](int64_t i, int worker) { merge_parts(items_[num_items_ + i], worker); });
  }

 private:
  template <class Job>
  void spread(int64_t count, Job&& job) {
    std::atomic<int64_t> next{0};
    stream_.pool().run([&](int worker) {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) job(i, worker);
    });
  }

  // f(item) for all (sequence, tile of queries, heads), each with all its partitions.
  template <class F>
  void each_whole(F&& f) const {
    for (int32_t seq = 0; seq < batch_.num_seqs; ++seq) {
      const int32_t queries = batch_.query_start_loc.data[seq + 1] - batch_.query_start_loc.data[seq];
      if (queries == 0) continue;
      const bool streamed = queries * group_ <= tuning_.attention_streamed_rows;
      const auto most = static_cast<int32_t>(std::max<int64_t>(tuning_.attention_rows / group_, 1));
      Item item;
      item.seq = seq;
      item.num_heads = streamed ? kv_.layout.num_kv_heads : 1;
      for (item.query = 0; item.query < queries; item.query += item.num_queries) {
        item.num_queries = streamed ? queries : std::min(most, queries - item.query);
        const int32_t first = batch_.seq_lens.data[seq] - queries + item.query,
                      last = first + item.num_queries - 1;
        const int32_t begin = batch_.window > 0 ? std::max(0, first - batch_.window + 1) : 0;
        item.part_begin = static_cast<int32_t>(begin / kPartition);
        item.part_end = static_cast<int32_t>(last / kPartition + 1);
        item.cost = cost_of(item, last + 1 - begin);
        for (item.head = 0; item.head < kv_.layout.num_kv_heads; item.head += item.num_heads) f(item);
      }
    }
  }
  // Reading K and V of a key, and working on it for every row.
  int64_t cost_of(const Item& item, int64_t keys) const {
    const int64_t rows = item.num_queries * group_;
    return keys * item.num_heads * (layout_.head_bytes / kLanes / 10 + rows * (head_dim_ / 32 + 1));
  }

  // f(item, is_merge) for all items that the whole ones are cut into: into partitions, and those into heads,
  // as long as they are too large.
  template <class F>
  void each_cut(F&& f) const {
    int64_t floats = 0;
    each_whole([&](Item whole) {
      const int64_t parts = whole.part_end - whole.part_begin;
      const int64_t state = states_floats(whole);
      const bool cut = whole.cost > largest_ && parts > 1 && (floats + parts * state) * 4 <= kMaxPartialBytes;
      const int64_t cost = cut ? whole.cost / parts : whole.cost;
      int32_t heads = whole.num_heads;
      while (heads > 2 && cost * heads / whole.num_heads > largest_) heads = (heads + 1) / 2;
      for (int32_t head = 0; head < whole.num_heads; head += heads) {
        Item item = whole;
        item.head = whole.head + head;
        item.num_heads = std::min(heads, whole.num_heads - head);
        item.cost = cost * item.num_heads / whole.num_heads;
        if (!cut) {
          f(item, false);
          continue;
        }
        Item merge = item;  // of all its partitions
        merge.partial = floats;
        for (int32_t part = whole.part_begin; part < whole.part_end; ++part) {
          item.part_begin = part;
          item.part_end = part + 1;
          item.partial = floats;
          floats += states_floats(item);
          f(item, false);
        }
        f(merge, true);
      }
    });
  }
  void count_items() {
    each_cut([&](const Item& item, bool merge) {
      ++(merge ? num_merges_ : num_items_);
      if (!merge && item.partial >= 0) partial_floats_ = item.partial + states_floats(item);
    });
  }
  void list_items() {
    Item *next = items_, *next_merge = items_ + num_items_;
    each_cut([&](const Item& item, bool merge) { new (merge ? next_merge++ : next++) Item(item); });
  }
  int64_t states_floats(const Item& item) const {
    return item.num_queries * group_ * item.num_heads * attn_state_stride(head_dim_);
  }

  AttnTask task_of(const Item& item, int worker) {
    const int64_t start = batch_.query_start_loc.data[item.seq];
    const int32_t queries = batch_.query_start_loc.data[item.seq + 1] - batch_.query_start_loc.data[item.seq];
    const int64_t column = item.head * group_ * head_dim_;
    AttnTask task{};
    task.format = format_;
    task.head_dim = head_dim_;
    task.block_size = kv_.layout.block_size;
    task.group = static_cast<int32_t>(group_);
    task.num_queries = item.num_queries;
    task.num_heads = item.num_heads;
    task.first_position = batch_.seq_lens.data[item.seq] - queries + item.query;
    task.window = batch_.window;
    task.scale = batch_.scale;
    task.softcap = batch_.softcap;
    task.row_chunk = static_cast<int32_t>(tuning_.attention_row_chunk);
    task.prefetch_next = tuning_.attention_ahead != 0;
    task.q = q_.row<float>(start + item.query) + column;
    task.q_stride = q_.row_stride;
    task.cache = static_cast<const char*>(kv_.data) + item.head * layout_.head_bytes;
    task.block_stride = static_cast<int64_t>(kv_.block_stride);
    task.layout = layout_;
    const int64_t row = batch_.table_rows.empty() ? item.seq : batch_.table_rows.data[item.seq];
    task.block_table = batch_.block_table.data + row * batch_.max_blocks;
    task.out = out_.row<float>(start + item.query) + column;
    task.out_stride = out_.row_stride;
    task.scratch = reinterpret_cast<char*>(scratch(worker) + 2 * max_state_floats());
    return task;
  }
  int64_t max_state_floats() const { return max_rows_ * attn_state_stride(head_dim_); }
  // This worker's: two states, then the kernel's scratch.
  float* scratch(int worker) {
    const auto states = static_cast<std::size_t>(2 * max_state_floats()) * sizeof(float);
    return static_cast<float*>(stream_.scratch(
        worker, states + attn_scratch_bytes(max_rows_, kv_.layout.num_kv_heads, head_dim_, layout_)));
  }

  void work_on(const Item& item, int worker) {
    const AttentionKernels& kernel = kernels().attention;
    const AttnTask task = task_of(item, worker);
    kernel.prepare(task);
    if (item.partial >= 0) return kernel.partition(task, item.part_begin, partials_ + item.partial);
    float* total = scratch(worker);
    kernel.partition(task, item.part_begin, total);  // as if merged into nothing
    for (int64_t part = item.part_begin + 1; part < item.part_end; ++part) {
      kernel.partition(task, part, total + max_state_floats());
      kernel.merge(task, total, total + max_state_floats());
    }
    kernel.finish(task, total);
  }
  void merge_parts(const Item& item, int worker) {
    const AttentionKernels& kernel = kernels().attention;
    const AttnTask task = task_of(item, worker);
    float* total = partials_ + item.partial;
    for (int64_t part = 1; part < item.part_end - item.part_begin; ++part)
      kernel.merge(task, total, total + part * states_floats(item));
    kernel.finish(task, total);
  }

  const Tensor& out_;
  const Tensor& q_;
  const KvLayerView& kv_;
  const AttnBatch& batch_;
  CpuStream& stream_;
  const CpuTuning& tuning_;
  KvFormat format_;
  KvPanels layout_;
  int32_t head_dim_;
  int64_t group_, total_cost_ = 0, largest_ = INT64_MAX, max_rows_ = 0;  // max_rows_: of all heads of an item
  int64_t num_items_ = 0, num_merges_ = 0, partial_floats_ = 0;
  Item* items_ = nullptr;  // num_items_, then num_merges_
  float* partials_ = nullptr;
};

}  // namespace

void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              ComputeStream& stream) {
  const KvLayout& layout = kv.layout;
  split(stream, batch.num_tokens, int64_t{16} * layout.num_kv_heads * layout.k_dim,
        [&](int64_t begin, int64_t end) {
          KvStoreTask task{format_of(layout.dtype), layout.num_kv_heads, layout.k_dim, layout.block_size};
          task.cache = static_cast<char*>(kv.data);
          task.block_stride = static_cast<int64_t>(kv.block_stride);
          task.layout = panels_of(layout);
          for (int64_t t = begin; t < end; ++t) {
            task.slot = batch.slot_mapping.data[t];
            if (task.slot < 0) continue;
            task.key = k.row<float>(t);
            task.value = v.row<float>(t);
            kernels().attention.kv_store(task);
          }
        });
}

void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, ComputeStream& stream) {
  PAGODA_CHECK(kv.layout.k_dim <= kMaxHeadDim, "head_dim of a kernel");
  PAGODA_CHECK(kv.block_stride % 64 == 0, "blocks begin at a cache line");
  check_size("paged_attention: tokens of query_start_loc", batch.query_start_loc.data[batch.num_seqs],
             batch.num_tokens);
  Plan(out, q, kv, batch, num_heads, cpu_stream(stream)).run();
}

std::size_t kv_block_bytes(const KvLayout& layout) {
  return static_cast<std::size_t>(panels_of(layout).block_bytes);
}

}  // namespace pagoda::cpu
