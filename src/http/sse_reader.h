#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace pagoda {

// Splits a stream of server-sent events (WHATWG HTML, section 9.2) into the data of each, however the bytes
// arrive. Comments, names, ids and retry times of events are passed over; data of several lines is joined by
// newlines. Lines end in LF or CRLF.
class SseReader {
 public:
  // Asked with the data of each event; false stops the reading.
  using OnEvent = std::function<bool(std::string_view data)>;
  // False if on_event said so, or an event has no end.
  bool feed(std::string_view bytes, const OnEvent& on_event);
  // The stream has ended: an event whose empty line never came counts too.
  bool finish(const OnEvent& on_event);
  bool is_endless() const { return buffer_.size() + data_.size() >= kEventBytesMax; }

 private:
  bool line(std::string_view text, const OnEvent& on_event);
  bool dispatch(const OnEvent& on_event);

  static constexpr std::size_t kEventBytesMax = std::size_t{16} << 20;
  std::string buffer_, data_;
  bool has_data_ = false;
};

}  // namespace pagoda
