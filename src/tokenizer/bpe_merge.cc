#include <algorithm>
#include <queue>

#include "base/cancel.h"
#include "tokenizer/bpe.h"

namespace pagoda {

// Merges symbols[from..). Each round looks at all pairs: quadratic, and the fastest there is for a few dozen
// symbols.
void merge_symbols_flat(const MergeMap& merges, std::vector<int32_t>* symbols, std::size_t from) {
  constexpr std::size_t kInline = 64;
  std::size_t count = symbols->size() - from;
  if (count < 2) return;
  int32_t* ids = symbols->data() + from;
  std::array<uint64_t, kInline> inline_pairs;
  std::vector<uint64_t> many_pairs;
  uint64_t* pairs = inline_pairs.data();  // pairs[i]: the merge of symbols i and i + 1
  if (count > kInline) {
    many_pairs.resize(count);
    pairs = many_pairs.data();
  }
  for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merges.find(ids[i], ids[i + 1]);
  while (count >= 2) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (pairs[i] >> 32 < pairs[best] >> 32) best = i;
    if (pairs[best] == kNoMerge) break;
    ids[best] = static_cast<int32_t>(static_cast<uint32_t>(pairs[best]));
    std::copy(ids + best + 2, ids + count, ids + best + 1);
    if (best + 2 < count) std::copy(pairs + best + 2, pairs + count - 1, pairs + best + 1);
    --count;
    if (best + 1 < count) pairs[best] = merges.find(ids[best], ids[best + 1]);
    if (best > 0) pairs[best - 1] = merges.find(ids[best - 1], ids[best]);
  }
  symbols->resize(from + count);
}

namespace {

struct Link {
  int32_t id;  // -1: merged into its left neighbour
  uint32_t previous, next;
};

struct Candidate {
  uint64_t order;  // rank << 32 | position of the left symbol
  int32_t merged;
  bool operator>(const Candidate& other) const { return order > other.order; }
};

constexpr uint32_t kEnd = ~uint32_t{0};

}  // namespace

void merge_symbols_heap(const MergeMap& merges, std::vector<int32_t>* symbols, std::size_t from) {
  std::size_t count = symbols->size() - from;
  if (count < 2) return;
  std::vector<Link> links(count);
  for (std::size_t i = 0; i < count; ++i)
    links[i] = {(*symbols)[from + i], static_cast<uint32_t>(i) - 1, static_cast<uint32_t>(i) + 1};
  links[0].previous = kEnd;
  links[count - 1].next = kEnd;
  std::vector<Candidate> heap;
  auto candidate = [&](uint32_t left, uint64_t merge) {
    return Candidate{(merge >> 32) << 32 | left, static_cast<int32_t>(static_cast<uint32_t>(merge))};
  };
  for (uint32_t i = 0; i + 1 < count; ++i) {
    uint64_t merge = merges.find(links[i].id, links[i + 1].id);
    if (merge != kNoMerge) heap.push_back(candidate(i, merge));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  auto push_pair = [&](uint32_t left) {
    if (left == kEnd || links[left].next == kEnd) return;
    uint64_t merge = merges.find(links[left].id, links[links[left].next].id);
    if (merge == kNoMerge) return;
    heap.push_back(candidate(left, merge));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (uint32_t round = 1; !heap.empty(); ++round) {
    if (round % (1 << 16) == 0 && is_work_cancelled()) throw EncodingCancelled();
    Candidate top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    auto left = static_cast<uint32_t>(top.order);
    Link& link = links[left];
    if (link.id < 0 || link.next == kEnd) continue;
    // Stale if either symbol has grown since: the pair then spells something longer, so its merge is another.
    uint64_t merge = merges.find(link.id, links[link.next].id);
    if (merge == kNoMerge || candidate(left, merge).order != top.order ||
        static_cast<int32_t>(static_cast<uint32_t>(merge)) != top.merged)
      continue;
    Link& right = links[link.next];
    link.id = top.merged;
    right.id = -1;
    link.next = right.next;
    if (link.next != kEnd) links[link.next].previous = left;
    push_pair(link.previous);
    push_pair(left);
  }
  std::size_t kept = from;
  for (uint32_t i = 0; i != kEnd; i = links[i].next) (*symbols)[kept++] = links[i].id;
  symbols->resize(kept);
}

}  // namespace pagoda
