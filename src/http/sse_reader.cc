#include "http/sse_reader.h"

#include <utility>

namespace pagoda {

bool SseReader::feed(std::string_view bytes, const OnEvent& on_event) {
  std::size_t searched = buffer_.size(), begin = 0;
  buffer_ += bytes;
  bool go_on = true;
  for (std::size_t end; go_on && (end = buffer_.find('\n', searched)) != std::string::npos;) {
    go_on = line(std::string_view(buffer_).substr(begin, end - begin), on_event);
    begin = searched = end + 1;
  }
  buffer_.erase(0, begin);
  return go_on && !is_endless();
}

bool SseReader::finish(const OnEvent& on_event) {
  std::string rest = std::exchange(buffer_, {});
  if (!rest.empty() && !line(rest, on_event)) return false;
  return dispatch(on_event);
}

bool SseReader::line(std::string_view text, const OnEvent& on_event) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.empty()) return dispatch(on_event);
  if (!text.starts_with("data:")) return true;
  text.remove_prefix(5);
  if (text.starts_with(' ')) text.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += text;
  has_data_ = true;
  return true;
}

bool SseReader::dispatch(const OnEvent& on_event) {
  if (!std::exchange(has_data_, false)) return true;
  std::string data = std::exchange(data_, {});
  return on_event(data);
}

}  // namespace pagoda
