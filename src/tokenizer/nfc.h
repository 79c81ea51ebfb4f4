// Unicode normalization forms in linear time. utf8proc's own orders combining marks by repeated exchange,
// which is quadratic in the length of a run of marks; here runs are sorted by counting.
#pragma once
#include <string>
#include <string_view>

namespace pagoda {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Requires: valid UTF-8.
std::string normalize_unicode(std::string_view text, NormalForm form);
// True if `text` is sure to be in NFC already (quick check; false may be a false alarm). Requires: valid
// UTF-8.
bool is_nfc_quick(std::string_view text);

}  // namespace pagoda
