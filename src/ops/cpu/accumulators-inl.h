// The sums of a register tile. Included before the tiles, by kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {

// N values with a name each: an array indexed in an unrolled loop would be kept in memory by the compiler.
template <class T, int N>
struct Row {
  Row<T, N - 1> head;
  T last;
};
template <class T>
struct Row<T, 0> {};
template <class T, int MR, int NV>
struct Block {
  Block<T, MR - 1, NV> head;
  Row<T, NV> last;
};
template <class T, int NV>
struct Block<T, 0, NV> {};

constexpr int min_int(int a, int b) {
  return a < b ? a : b;
}

}  // namespace
}  // namespace pagoda::cpu
