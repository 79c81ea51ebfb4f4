// What lies in a file's place when a download went wrong.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace pagoda {

// Error kInvalidArgument if `bytes`, the content of `path` or at least its beginning, is nothing at all, a
// Git LFS pointer, or a web page, none of which any model file is; it says how to mend that.
Status check_content(std::string_view bytes, const std::string& path);

}  // namespace pagoda
