#include "http/chunked_reader.h"

#include <algorithm>

namespace pagoda {
namespace {

// Of size lines beyond what their chunks excuse, and of all trailers together. More is no honest client.
constexpr std::size_t kOverheadBytesMax = 16 * 1024;
// A chunk excuses so many bytes of its size line, and two more for each byte of its data.
constexpr std::size_t kSizeLineBytes = 16;

bool may_stand_in_line(char c) {
  auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

void ChunkedReader::fail(int status, const char* message) {
  error_ = {status, message};
  state_ = State::kFailed;
}

std::size_t ChunkedReader::feed(std::string_view in, std::string* data) {
  std::size_t taken = 0;
  while (taken < in.size() && state_ != State::kDone && state_ != State::kFailed) {
    if (state_ != State::kData) {
      take(in[taken++]);
      continue;
    }
    std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(size_, in.size() - taken));
    data->append(in.substr(taken, n));
    taken += n;
    size_ -= n;
    if (size_ == 0) state_ = State::kDataCr;
  }
  return taken;
}

void ChunkedReader::take(char c) {
  switch (state_) {
    case State::kSize:
    case State::kSizeBlanks:
    case State::kExtension:
    case State::kSizeLf:
      return take_size_line(c);
    case State::kDataCr:
    case State::kDataLf:
      if (c != (state_ == State::kDataCr ? '\r' : '\n'))
        return fail(400, "A chunk of the body is not as long as its size says.");
      state_ = state_ == State::kDataCr ? State::kDataLf : State::kSize;
      return;
    default:
      return take_trailers(c);
  }
}

void ChunkedReader::take_size_line(char c) {
  if (overhead_ + ++line_bytes_ > kOverheadBytesMax)
    return fail(400, "The sizes of the body's chunks, or their extensions, are too long.");
  if (state_ == State::kSizeLf) {
    if (c != '\n') return fail(400, "A chunk's size line does not end in CR LF.");
    return end_size_line();
  }
  if (c == '\r' && has_digit_) {
    state_ = State::kSizeLf;
  } else if (state_ == State::kExtension) {
    if (!may_stand_in_line(c)) fail(400, "A chunk's size line has a control character, or no CR LF.");
  } else if (c == ';' && has_digit_) {
    state_ = State::kExtension;
  } else if ((c == ' ' || c == '\t') && has_digit_) {
    state_ = State::kSizeBlanks;
  } else if (state_ == State::kSizeBlanks) {
    fail(400, "A chunk's size is followed by something that is no extension.");
  } else if (int digit = hex_digit(c); digit < 0) {
    fail(400, "A chunk's size is not a hexadecimal number.");
  } else if (size_ >> 60 != 0) {
    fail(400, "A chunk's size is over 64 bits.");
  } else {
    size_ = size_ * 16 + static_cast<std::uint64_t>(digit);
    has_digit_ = true;
  }
}

void ChunkedReader::end_size_line() {
  if (size_ > data_left_) return fail(413, "The chunks of the body are over the limit.");
  data_left_ -= size_;
  const std::size_t counted = overhead_ + line_bytes_;
  const std::uint64_t excused = kSizeLineBytes + 2 * std::min<std::uint64_t>(size_, kOverheadBytesMax);
  overhead_ = counted > excused ? counted - static_cast<std::size_t>(excused) : 0;
  line_bytes_ = 0;
  has_digit_ = false;
  state_ = size_ == 0 ? State::kTrailer : State::kData;
}

void ChunkedReader::take_trailers(char c) {
  if (overhead_ + ++line_bytes_ > kOverheadBytesMax) return fail(400, "The body's trailers are too long.");
  switch (state_) {
    case State::kTrailer:
    case State::kTrailerName:
      if (c == '\r' && state_ == State::kTrailer)
        state_ = State::kLastLf;
      else if (c == ':' && state_ == State::kTrailerName)
        state_ = State::kTrailerValue;
      else if (is_token({&c, 1}))
        state_ = State::kTrailerName;
      else
        fail(400, "A trailer's name is not valid.");
      return;
    case State::kTrailerValue:
      if (c == '\r')
        state_ = State::kTrailerLf;
      else if (!may_stand_in_line(c))
        fail(400, "A trailer has a control character, or no CR LF.");
      return;
    default:
      if (c != '\n') return fail(400, "A trailer does not end in CR LF.");
      state_ = state_ == State::kTrailerLf ? State::kTrailer : State::kDone;
  }
}

}  // namespace pagoda
