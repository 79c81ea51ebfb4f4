// A copy that finds no memory leaves nothing behind that could be destroyed.
#include "base/variant.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

namespace pagoda {
namespace {

// Memory that is there or not.
bool has_memory = true;
template <class T>
struct Scarce {
  using value_type = T;
  Scarce() = default;
  template <class U>
  Scarce(const Scarce<U>&) {}  // NOLINT: allocators convert
  T* allocate(std::size_t count) {
    if (!has_memory) throw std::bad_alloc();
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, std::size_t count) { std::allocator<T>().deallocate(memory, count); }
  bool operator==(const Scarce&) const { return true; }
};
using Text = std::basic_string<char, std::char_traits<char>, Scarce<char>>;
using Ids = std::vector<int, Scarce<int>>;

TEST(Variant, ACopyWithoutMemoryThrowsAndNoMore) {
  const Variant<Text, Ids> held[] = {Text(100, 'a'), Ids{1, 2, 3}};
  for (const auto& from : held) {
    Variant<Text, Ids> to = Ids{7};
    has_memory = false;
    EXPECT_THROW({ auto copy = from; }, std::bad_alloc);
    EXPECT_THROW({ std::vector<decltype(to)> list{from}; }, std::bad_alloc);
    EXPECT_THROW(to = from, std::bad_alloc);
    has_memory = true;
    EXPECT_EQ(to, (Variant<Text, Ids>(Ids{7})));
    to = from;
    EXPECT_EQ(to, from);
  }
}

}  // namespace
}  // namespace pagoda
