// What the log shows of a prompt and of an answer: never more than --max-log-len characters of it, which are
// all that is read of it.
#pragma once
#include <string>
#include <string_view>

#include "contract/generate_request.h"

namespace pagoda {

// `chars_max` < 0: as much as a line of the log takes.
void log_request(const std::string& id, const GenerateRequest& request, const ResponseShape& shape,
                 int chars_max);
// How much of a text is logged, in characters.
std::size_t logged_chars(int chars_max);
// As JSON.
std::string prompt_for_log(const GenerateRequest& request, int chars_max);
std::string output_for_log(std::string_view text, int chars_max);

}  // namespace pagoda
