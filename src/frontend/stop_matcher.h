#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda {

// The stop strings of a request with their failure tables (Knuth, Morris, Pratt 1977); shared by its choices.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> strings);
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  friend class StopMatcher;
  std::vector<std::string> strings_;
  std::vector<std::vector<int32_t>> failure_;  // [string][matched bytes] -> the next shorter match
};

// Follows one choice's text byte by byte through all stop strings at once, in time linear to the text (per
// string) whatever the pieces are.
class StopMatcher {
 public:
  explicit StopMatcher(std::shared_ptr<const StopStrings> stops);

  struct Match {
    std::size_t index;  // of the stop string
    std::size_t end;    // bytes of `text` up to and including the stop string's last one
  };
  // The first stop string that ends in `text` (of several ending at one byte the first listed), if
  // `may_stop`; those that end while it is false do not count. After a match nothing more is fed.
  std::optional<Match> feed(std::string_view text, bool may_stop);
  // Bytes at the end of the text so far that may be the beginning of a stop string: at most those are to be
  // held back.
  std::size_t held() const;

 private:
  std::shared_ptr<const StopStrings> stops_;
  std::vector<int32_t> state_;  // [string]: bytes matched
};

}  // namespace pagoda
