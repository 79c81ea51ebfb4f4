// A Beast body that grows as bytes arrive. Beast's own string_body reserves the declared Content-Length at
// once, which would let a head of 60 bytes claim the whole limit. Only for the .cc files that use Beast.
#pragma once
#include <boost/beast/core/buffer_traits.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional/optional.hpp>
#include <cstdint>
#include <string>

namespace pagoda {

struct AppendBody {
  using value_type = std::string;

  class reader {
   public:
    template <class Header>
    reader(Header&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& ec) {
      ec = {};
      std::size_t n = 0;
      for (boost::asio::const_buffer piece : boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(piece.data()), piece.size());
        n += piece.size();
      }
      return n;
    }
    void finish(boost::system::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

}  // namespace pagoda
