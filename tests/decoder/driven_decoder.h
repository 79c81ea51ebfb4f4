// A decoder fed by hand: sequences with caches of their own whose blocks lie scattered, whatever pieces of
// them a test puts into one batch.
#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "decoder/decoder.h"
#include "ops/cpu/cpu_stream.h"
#include "tensor/staged_array.h"

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
      : DrivenDecoder(decoder, kv_dtype, std::make_unique<CpuStream>(num_threads), num_sequences) {}
  // On a backend's stream, in whose memory the decoder's weights are.
  DrivenDecoder(const Decoder& decoder, DType kv_dtype, std::unique_ptr<ComputeStream> stream,
                std::size_t num_sequences = 1)
      : decoder_(decoder),
        stream_(std::move(stream)),
        activations_(decoder.config(), kMaxTokens, decoder.max_input_parts(), *stream_) {
    const std::size_t num_blocks = num_sequences * kBlocks + 1;
    for (const LayerConfig& layer : decoder.config().layers) {
      const AttentionConfig& shape = layer.attention;
      const KvLayout layout{kv_dtype, shape.num_kv_heads, shape.head_dim, shape.head_dim, kBlockSize};
      const std::size_t bytes = kv_block_bytes(layout, stream_->ops());
      buffers_.emplace_back(stream_->memory(), num_blocks * bytes);
      views_.push_back({buffers_.back().data(), bytes, layout});
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
    StagedArray<int32_t> arrays[6];
    StagedArray<int64_t> slot_mapping;
    std::vector<int32_t>&ids = arrays[0].host(), &positions = arrays[1].host(),
    &query_start = arrays[2].host(), &seq_lens = arrays[3].host(), &table = arrays[4].host(),
    &rows = arrays[5].host();
    std::vector<int64_t>& slots = slot_mapping.host();
    query_start.push_back(0);
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
    DeviceMemory& memory = stream_->memory();
    batch.query_start_loc = arrays[2].upload(memory);
    batch.seq_lens = arrays[3].upload(memory);
    batch.block_table = arrays[4].upload(memory);
    batch.slot_mapping = slot_mapping.upload(memory);
    batch.num_seqs = static_cast<int32_t>(pieces.size());
    batch.num_tokens = static_cast<int32_t>(ids.size());
    batch.max_blocks = kBlocks;
    batch.block_size = kBlockSize;
    // Every layer has bytes of its own, so the groups may use the same block ids.
    const std::vector<AttnBatch> groups(config.layers.size(), batch);
    decoder_.forward({arrays[0].upload(memory), arrays[1].upload(memory), batch.num_tokens, groups}, views_,
                     &activations_, *stream_);
    std::vector<float> numbers(ids.size() * static_cast<std::size_t>(config.vocab_size));
    const DeviceBuffer logits(memory, numbers.size() * sizeof(float));
    decoder_.logits(Tensor::matrix(logits.data(), DType::kF32, batch.num_tokens, config.vocab_size),
                    arrays[5].upload(memory), &activations_, *stream_);
    logits.copy_to_host(0, std::as_writable_bytes(std::span(numbers)));
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
  std::unique_ptr<ComputeStream> stream_;
  Activations activations_;
  std::vector<DeviceBuffer> buffers_;
  std::vector<KvLayerView> views_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> lengths_;
};

}  // namespace pagoda::testing
