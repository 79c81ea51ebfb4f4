// A decoder fed by hand: sequences with caches of their own whose blocks lie scattered, whatever pieces of
// them a test puts into one batch.
#pragma once
#include <span>
#include <vector>

#include "decoder/decoder.h"

namespace pagoda::testing {

using Logits = std::vector<std::vector<float>>;  // one row per token

// The next `count` tokens of a sequence.
struct Piece {
  std::size_t sequence;
  std::span<const int32_t> ids;
};

class DrivenDecoder {
 public:
  // Sequences of up to 1024 tokens, steps of up to 1024.
  DrivenDecoder(const Decoder& decoder, DType kv_dtype, int num_threads, std::size_t num_sequences = 1)
      : decoder_(decoder),
        pool_(num_threads),
        stream_(&pool_),
        activations_(decoder.config(), kMaxTokens, decoder.max_input_parts()) {
    const std::size_t num_blocks = num_sequences * kBlocks + 1;
    for (const LayerConfig& layer : decoder.config().layers) {
      const AttentionConfig& shape = layer.attention;
      const KvLayout layout{kv_dtype, shape.num_kv_heads, shape.head_dim, shape.head_dim, kBlockSize};
      buffers_.emplace_back(num_blocks * layout.bytes());
      views_.push_back({buffers_.back().data(), layout.bytes(), layout});
    }
    // Blocks of all sequences mixed, in no order.
    tables_.resize(num_sequences);
    lengths_.resize(num_sequences);
    for (std::size_t i = 0; i < num_sequences * kBlocks; ++i)
      tables_[i % num_sequences].push_back(static_cast<int32_t>(num_sequences * kBlocks - i));
    for (std::vector<int32_t>& table : tables_)
      for (std::size_t i = 0; i < kBlocks; ++i) std::swap(table[i], table[i * 7 % kBlocks]);
  }

  // One step; the logits after each token, piece by piece. No sequence twice.
  Logits step(std::span<const Piece> pieces) {
    std::vector<int32_t> ids, positions, query_start = {0}, seq_lens, table, rows;
    std::vector<int64_t> slots;
    for (const Piece& piece : pieces) {
      const std::vector<int32_t>& blocks = tables_[piece.sequence];
      int32_t& length = lengths_[piece.sequence];
      for (int32_t id : piece.ids) {
        rows.push_back(static_cast<int32_t>(ids.size()));
        ids.push_back(id);
        slots.push_back(int64_t{blocks[static_cast<std::size_t>(length / kBlockSize)]} * kBlockSize +
                        length % kBlockSize);
        positions.push_back(length++);
      }
      query_start.push_back(static_cast<int32_t>(ids.size()));
      seq_lens.push_back(length);
      table.insert(table.end(), blocks.begin(), blocks.end());
    }
    const ModelConfig& config = decoder_.config();
    AttnBatch batch;
    batch.query_start_loc = query_start.data();
    batch.seq_lens = seq_lens.data();
    batch.block_table = table.data();
    batch.slot_mapping = slots.data();
    batch.num_seqs = static_cast<int32_t>(pieces.size());
    batch.num_tokens = static_cast<int32_t>(ids.size());
    batch.max_blocks = kBlocks;
    batch.block_size = kBlockSize;
    // Every layer has bytes of its own, so the groups may use the same block ids.
    const std::vector<AttnBatch> groups(config.layers.size(), batch);
    decoder_.forward({ids.data(), positions.data(), batch.num_tokens, groups}, views_, &activations_,
                     stream_);
    std::vector<float> numbers(ids.size() * static_cast<std::size_t>(config.vocab_size));
    decoder_.logits(Tensor::matrix(numbers.data(), DType::kF32, batch.num_tokens, config.vocab_size), rows,
                    &activations_, stream_);
    Logits out;
    for (auto row = numbers.begin(); row != numbers.end(); row += config.vocab_size)
      out.emplace_back(row, row + config.vocab_size);
    return out;
  }

  // Logits after each of `ids`, which come in pieces of `chunk` tokens.
  Logits run(std::span<const int32_t> ids, std::size_t chunk, std::size_t sequence = 0) {
    Logits out;
    for (std::size_t begin = 0; begin < ids.size(); begin += chunk) {
      const Piece piece{sequence, ids.subspan(begin, std::min(chunk, ids.size() - begin))};
      for (auto& row : step({&piece, 1})) out.push_back(std::move(row));
    }
    return out;
  }

  // Forgets a sequence's tokens.
  void restart(std::size_t sequence = 0) { lengths_[sequence] = 0; }

 private:
  static constexpr int32_t kBlocks = 64, kBlockSize = 16, kMaxTokens = 1024;
  const Decoder& decoder_;
  ComputePool pool_;
  ComputeStream stream_;
  Activations activations_;
  std::vector<Buffer> buffers_;
  std::vector<KvLayerView> views_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> lengths_;
};

}  // namespace pagoda::testing
