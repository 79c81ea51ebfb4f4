// What is kept per token: ids may have holes of any width between them, as a file likes, so tables are as
// long as there are tokens, and an id's place in them is looked up. Filled once, then read from any thread.
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda {

// A set of ids, and which place each has among them: up to the first hole, which is mostly the end, the id
// itself; behind it a bit per id, and the number of ids before each word of them.
class IdPlaces {
 public:
  // Requires: 0 <= id < end.
  template <class Ids>
  IdPlaces(int32_t end, const Ids& ids) : words_((static_cast<std::size_t>(end) + 63) / 64) {
    for (int32_t id : ids) words_[static_cast<std::size_t>(id) / 64].bits |= uint64_t{1} << (id % 64);
    uint32_t before = 0;
    for (Word& word : words_) {
      word.before = before;
      before += static_cast<uint32_t>(std::popcount(word.bits));
    }
    size_ = static_cast<int32_t>(before);
    while (num_dense_ / 64 < words_.size() && (words_[num_dense_ / 64].bits >> num_dense_ % 64 & 1) != 0)
      ++num_dense_;
  }
  IdPlaces() = default;

  int32_t size() const { return size_; }
  // In ascending order of ids; -1 if it is not of the set.
  int32_t place(int32_t id) const {
    if (static_cast<uint32_t>(id) < num_dense_) return id;
    const std::size_t index = static_cast<uint32_t>(id) / 64;  // of a negative one: far beyond
    if (index >= words_.size()) return -1;
    const Word& word = words_[index];
    const uint32_t at = static_cast<uint32_t>(id) % 64;
    if ((word.bits >> at & 1) == 0) return -1;
    const uint64_t lower = word.bits & ((uint64_t{1} << at) - 1);
    return static_cast<int32_t>(word.before + static_cast<uint32_t>(std::popcount(lower)));
  }

 private:
  struct Word {
    uint64_t bits = 0;
    uint32_t before = 0;
  };
  std::vector<Word> words_;
  uint32_t num_dense_ = 0;
  int32_t size_ = 0;
};

// Texts by place, one after the other in memory. Requires: less than 4 GiB in all.
class TextTable {
 public:
  void reserve(std::size_t count, std::size_t bytes) {
    begin_.reserve(count + 1);
    text_.reserve(bytes);
  }
  void add(std::string_view text) {
    text_ += text;
    begin_.push_back(static_cast<uint32_t>(text_.size()));
  }
  std::size_t num_bytes() const { return text_.size(); }
  std::string_view operator[](int32_t place) const {
    const auto at = static_cast<std::size_t>(place);
    return std::string_view(text_.data() + begin_[at], begin_[at + 1] - begin_[at]);
  }

 private:
  std::string text_;
  std::vector<uint32_t> begin_ = std::vector<uint32_t>(1);  // and the end of the last
};

}  // namespace pagoda
