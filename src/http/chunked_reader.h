// The chunked transfer coding (RFC 9112, section 7.1), byte by byte: every byte that is given is taken, until
// the last one of the trailers, so that it does not matter in which pieces a body arrives. Lines end in CR LF
// and nothing else; extensions and trailers are checked, bounded and thrown away. Internal to this room.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/framing.h"

namespace pagoda {

class ChunkedReader {
 public:
  // More data than `data_bytes_max` is an error 413, as soon as a chunk's size announces it.
  explicit ChunkedReader(std::uint64_t data_bytes_max) : data_left_(data_bytes_max) {}
  // Takes bytes from the front of `in` and appends the data among them to `*data`. How many were taken: all,
  // unless done() or error() came before.
  std::size_t feed(std::string_view in, std::string* data);
  bool done() const { return state_ == State::kDone; }
  const HttpError& error() const { return error_; }

 private:
  enum class State {
    kSize,
    kSizeBlanks,  // after the digits: senders may put some before a ';', and some put them at the end
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,  // the start of a trailer line, or of the empty one
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kLastLf,
    kDone,
    kFailed,
  };
  void take(char c);
  void take_size_line(char c);
  void take_trailers(char c);
  void end_size_line();
  void fail(int status, const char* message);

  State state_ = State::kSize;
  std::uint64_t size_ = 0, data_left_;
  std::size_t line_bytes_ = 0, overhead_ = 0;
  bool has_digit_ = false;
  HttpError error_;
};

}  // namespace pagoda
