#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "tokenizer/json_fields.h"

namespace pagoda {
namespace {

constexpr std::size_t kPatternBytesMax = 64 << 10;
constexpr uint32_t kMatchSteps = 10'000'000;
constexpr uint32_t kHeapKib = 64 << 10;

// What one match needs besides the code: one per thread, made at the thread's first match.
struct Scratch {
  Scratch()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 << 10, 4 << 20, nullptr)) {
    if (context == nullptr) return;
    pcre2_set_heap_limit(context, kHeapKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

// Oniguruma's \w and \s by property; PCRE2's own \s takes in U+180E and its \w leaves out marks and other
// connectors.
const char* class_escape(char c, bool in_class) {
  switch (c) {
    case 's':
      return "\\p{White_Space}";
    case 'S':
      return "\\P{White_Space}";
    case 'w':
      return in_class ? "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" : "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
    case 'W':
      return in_class ? nullptr : "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
    case 'h':
      return in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";  // a hexadecimal digit there, a blank in PCRE2
    case 'H':
      return in_class ? nullptr : "[^0-9a-fA-F]";
    default:
      return nullptr;
  }
}

Status not_built(std::size_t offset, const std::string& what) {
  return invalid_argument("regular expression: " + what + " at offset " + std::to_string(offset) +
                          " is not built");
}

}  // namespace

Result<std::string> translate_pattern(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  std::size_t class_begin = 0;  // offset of the first member of the class
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char escaped = pattern[++i];
      if (in_class && (escaped == 'W' || escaped == 'H'))
        return not_built(i - 1, std::string("\\") + escaped + " within a class");
      if (const char* translated = class_escape(escaped, in_class)) {
        out += translated;
      } else {
        out += c;
        out += escaped;
      }
      continue;
    }
    if (!in_class && c == '[') {
      in_class = true;
      class_begin = i + 1;
      if (class_begin < pattern.size() && pattern[class_begin] == '^') ++class_begin;
    } else if (in_class && c == '[') {
      if (i + 1 >= pattern.size() || pattern[i + 1] != ':') return not_built(i, "a class within a class");
    } else if (in_class && c == ']' && i > class_begin) {
      bool posix = out.size() >= 2 && out.back() == ':';
      if (!posix) in_class = false;
    } else if (in_class && c == '&' && i + 1 < pattern.size() && pattern[i + 1] == '&') {
      return not_built(i, "an intersection of classes");
    }
    out += c;
  }
  return out;
}

struct Regex::Code {
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code = nullptr;
  bool jit = false;  // false where memory must not be writable and executable; the interpreter gives the same
                     // answers
};

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax)
    return invalid_argument("regular expression: longer than " + std::to_string(kPatternBytesMax) + " bytes");
  PAGODA_TRY(std::string translated, translate_pattern(pattern));
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (context != nullptr) pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  // MULTILINE: in Oniguruma's default syntax ^ and $ are always the ends of a line.
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions,
                             &error, &offset, context.get());
  if (code->code == nullptr) {
    PCRE2_UCHAR message[256] = {0};
    pcre2_get_error_message(error, message, sizeof message);
    return invalid_argument("regular expression: " + std::string(reinterpret_cast<char*>(message)) +
                            " at offset " + std::to_string(offset) + " of " + translated);
  }
  code->jit = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(code));
}

int Regex::match(std::string_view text, std::size_t from, uint32_t steps_max, std::size_t* begin,
                 std::size_t* end) const {
  thread_local Scratch scratch;
  if (scratch.data == nullptr || scratch.context == nullptr) return PCRE2_ERROR_NOMEMORY;
  pcre2_set_match_limit(scratch.context, steps_max);
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  // The text is valid by contract. PCRE2's own check would read the rest of it at every match: quadratic.
  int count = code_->jit
                  ? pcre2_jit_match(code_->code, subject, text.size(), from, 0, scratch.data, scratch.context)
                  : pcre2_match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, scratch.data,
                                scratch.context);
  if (count < 0) return count;
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(scratch.data);
  // \K may put the start behind the end; such a match is none.
  if (offsets[0] > offsets[1]) return PCRE2_ERROR_NOMATCH;
  *begin = offsets[0];
  *end = offsets[1];
  return 1;
}

bool Regex::find(std::string_view text, std::size_t from, std::size_t* begin, std::size_t* end) const {
  return match(text, from, kMatchSteps, begin, end) > 0;
}

int Regex::min_chars() const {
  uint32_t length = 0;
  return pcre2_pattern_info(code_->code, PCRE2_INFO_MINLENGTH, &length) == 0 ? static_cast<int>(length) : 0;
}

Regex::Search::Search(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), steps_left_(kMatchSteps + 100 * static_cast<int64_t>(text.size())) {}

// PCRE2 does not say how many steps a match took, so a costly one is told by the limits that it runs into.
bool Regex::Search::find(std::size_t from, std::size_t* begin, std::size_t* end) {
  for (uint32_t steps = 1000;; steps = std::min(steps * 10, kMatchSteps)) {
    int result = regex_.match(text_, from, steps, begin, end);
    if (result != PCRE2_ERROR_MATCHLIMIT) return result > 0;
    steps_left_ -= steps;
    if (steps == kMatchSteps || steps_left_ < 0) return false;
  }
}

Result<StepPattern> pattern_field(const Value& step, const std::string& path) {
  const std::string where = path + ".pattern";
  const Value* pattern = optional_member(step, "pattern");
  if (pattern == nullptr || !pattern->is_object())
    return wrong_type(where, "an object with String or Regex", pattern);
  StepPattern out;
  if (optional_member(*pattern, "Regex") == nullptr) {
    PAGODA_TRY(out.text, string_field(*pattern, where, "String"));
    if (out.text.empty()) return invalid_argument("tokenizer.json: " + where + ".String is empty");
    return out;
  }
  PAGODA_TRY(out.text, string_field(*pattern, where, "Regex"));
  Result<Regex> regex = Regex::compile(out.text);
  if (!regex.ok()) return regex.status().with_context("tokenizer.json: " + where);
  out.regex = std::move(*regex);
  return out;
}

}  // namespace pagoda
