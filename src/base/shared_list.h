// A list that never changes and is copied often: copies share what they hold.
#pragma once
#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace pagoda {

template <class T>
class SharedList {
 public:
  SharedList() = default;
  SharedList(std::vector<T> items) {  // NOLINT: implicit on purpose
    if (!items.empty()) items_ = std::make_shared<const std::vector<T>>(std::move(items));
  }
  SharedList(std::initializer_list<T> items) {
    if (items.size() > 0) items_ = std::make_shared<const std::vector<T>>(items);
  }

  bool empty() const { return items_ == nullptr; }
  std::size_t size() const { return items_ == nullptr ? 0 : items_->size(); }
  const T* begin() const { return items_ == nullptr ? nullptr : items_->data(); }
  const T* end() const { return begin() + size(); }
  friend bool operator==(const SharedList& a, const SharedList& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::shared_ptr<const std::vector<T>> items_;  // null: empty
};

}  // namespace pagoda
