// A vector whose first N elements live inside it.
#pragma once
#include <boost/container/small_vector.hpp>
#include <cstddef>

namespace pagoda {

template <class T, std::size_t N>
using SmallVector = boost::container::small_vector<T, N>;

}  // namespace pagoda
