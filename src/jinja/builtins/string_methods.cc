// Methods of str that convert, pad and classify.
#include <algorithm>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/builtins/methods.h"
#include "jinja/builtins/tests.h"
#include "jinja/eval.h"
#include "jinja/format.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

PyValue like(const PyValue& self, std::string text) {
  return PyValue::string(std::move(text), self.is_markup());
}

template <std::string (*Convert)(std::string_view)>
PyValue convert(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("str method", arguments, {});
  interpreter.budget().charge(static_cast<int64_t>(self.text().size() / 2));  // a table look-up per character
  return like(self, Convert(self.text()));
}

template <bool kLeft, bool kRight>
PyValue strip(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("strip", arguments, {"chars"});
  if (bound[0].is_none()) return like(self, std::string(strip_space(self.text(), kLeft, kRight)));
  return like(self, std::string(strip_chars(self.text(), bound.string(0, ""), kLeft, kRight)));
}

enum class Pad { kLeft, kRight, kBoth };

template <Pad kPad>
PyValue pad(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("pad", arguments, {"width", "fillchar"}, 1);
  std::string fill = bound.string(1, " ");
  if (count_chars(fill) != 1) fail("TypeError", "The fill character must be exactly one character long");
  int64_t width = bound.integer(0, 0), size = self.as<StringData>().length();
  if (width <= size) return self;
  std::size_t missing = static_cast<std::size_t>(width - size);
  interpreter.budget().charge_repeat(missing, fill.size());
  // Python puts the odd blank of center() to the left if the width is odd.
  std::size_t left = kPad == Pad::kLeft    ? missing
                     : kPad == Pad::kRight ? 0
                                           : missing / 2 + (missing & static_cast<std::size_t>(width) & 1);
  std::string out;
  for (std::size_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (std::size_t i = left; i < missing; ++i) out += fill;
  return like(self, std::move(out));
}

PyValue zfill(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("zfill", arguments, {"width"}, 1);
  int64_t width = bound.integer(0, 0), size = self.as<StringData>().length();
  if (width <= size) return self;
  interpreter.budget().charge_repeat(static_cast<std::size_t>(width - size), 1);
  std::string zeros(static_cast<std::size_t>(width - size), '0');
  std::string text = self.text();
  bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  return like(self, text.substr(0, sign) + zeros + text.substr(sign));
}

PyValue expandtabs(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("expandtabs", arguments, {"tabsize"});
  int64_t size = bound.integer(0, 8), column = 0;
  std::string out;
  interpreter.budget().charge(static_cast<int64_t>(self.text().size()));
  for_each_char(self.text(), [&](std::size_t, std::string_view c) {
    if (c == "\t") {
      int64_t blanks = size > 0 ? size - column % size : 0;
      interpreter.budget().charge_repeat(static_cast<std::size_t>(blanks), 1);
      out.append(static_cast<std::size_t>(blanks), ' ');
      column += blanks;
    } else {
      out += c;
      column = c == "\n" || c == "\r" ? 0 : column + 1;
    }
    interpreter.budget().check_bytes(out.size());
  });
  return like(self, std::move(out));
}

PyValue format(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  return brace_format(&interpreter.budget(), self, arguments);
}

PyValue format_map(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("format_map", arguments, {"mapping"}, 1);
  require_defined(bound[0]);
  if (!bound[0].is_dict()) fail("TypeError", "format_map() argument must be a mapping");
  Arguments call;
  for (const auto& [key, value] : bound[0].as<DictData>().entries())
    if (key.is_string()) call.named.emplace_back(key.text(), value);
  return brace_format(&interpreter.budget(), self, call);
}

PyValue join(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("join", arguments, {"iterable"}, 1);
  Budget& budget = interpreter.budget();
  if (!is_iterable(bound[0])) fail("TypeError", "can only join an iterable");
  Cursor cursor(bound[0]);
  std::string out;
  int64_t index = 0;
  for (PyValue item; cursor.next(&item); ++index) {
    budget.charge();
    if (!item.is_string())
      fail("TypeError", "sequence item " + std::to_string(index) + ": expected str instance, " +
                            type_name(item) + " found");
    if (index > 0) out += self.text();
    budget.check_bytes(out.size() + item.text().size());
    budget.charge_scan(self.text().size() + item.text().size());
    out += item.text();
  }
  return like(self, std::move(out));
}

// True if there are characters and all of them fulfil the predicate.
template <bool (*Predicate)(uint32_t)>
PyValue all_chars(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("str method", arguments, {});
  interpreter.budget().charge(static_cast<int64_t>(self.text().size() / 2));  // a table look-up per character
  for (std::size_t i = 0; i < self.text().size();) {
    Utf8Char c = decode_utf8(self.text(), i);
    if (!Predicate(c.code_point)) return PyValue::boolean(false);
    i += c.length;
  }
  return PyValue::boolean(!self.text().empty());
}

bool is_ascii(uint32_t c) {
  return c < 0x80;
}
bool is_alnum(uint32_t c) {
  return c != '_' && is_word(c);
}
bool is_digit(uint32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
         (c >= 0x2070 && c <= 0x2089 && is_alnum(c) && !is_alpha(c));
}
bool is_numeric(uint32_t c) {
  return is_alnum(c) && !is_alpha(c);
}
bool is_identifier_char(uint32_t c) {
  return is_word(c);
}

PyValue isascii(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("isascii", arguments, {});
  return PyValue::boolean(std::all_of(self.text().begin(), self.text().end(),
                                      [](char c) { return is_ascii(static_cast<unsigned char>(c)); }));
}

PyValue isprintable(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  return self.text().empty() ? PyValue::boolean(true) : all_chars<is_printable>(interpreter, self, arguments);
}

PyValue isidentifier(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  if (self.text().empty() || is_numeric(decode_utf8(self.text(), 0).code_point))
    return PyValue::boolean(false);
  return all_chars<is_identifier_char>(interpreter, self, arguments);
}

template <bool kUpper>
PyValue iscase(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  return PyValue::boolean(tests().find(kUpper ? "upper" : "lower")(interpreter, self, arguments));
}

PyValue istitle(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("istitle", arguments, {});
  interpreter.budget().charge(static_cast<int64_t>(self.text().size() / 2));
  bool cased = std::any_of(self.text().begin(), self.text().end(), [](char c) { return (c | 32) >= 'a'; });
  return PyValue::boolean(cased && title_case(self.text()) == self.text());
}

constexpr Registry<Method>::Entry kMethods[] = {
    {"capitalize", convert<capitalize>},
    {"casefold", convert<to_lower>},
    {"center", pad<Pad::kBoth>},
    {"expandtabs", expandtabs},
    {"format", format},
    {"format_map", format_map},
    {"isalnum", all_chars<is_alnum>},
    {"isalpha", all_chars<is_alpha>},
    {"isascii", isascii},
    {"isdecimal", all_chars<is_decimal>},
    {"isdigit", all_chars<is_digit>},
    {"isidentifier", isidentifier},
    {"islower", iscase<false>},
    {"isnumeric", all_chars<is_numeric>},
    {"isprintable", isprintable},
    {"isspace", all_chars<is_space>},
    {"istitle", istitle},
    {"isupper", iscase<true>},
    {"join", join},
    {"ljust", pad<Pad::kRight>},
    {"lower", convert<to_lower>},
    {"lstrip", strip<true, false>},
    {"rjust", pad<Pad::kLeft>},
    {"rstrip", strip<false, true>},
    {"strip", strip<true, true>},
    {"swapcase", convert<swap_case>},
    {"title", convert<title_case>},
    {"upper", convert<to_upper>},
    {"zfill", zfill},
};

}  // namespace

const Registry<Method>& string_methods() {
  static const Registry<Method> registry = {kMethods, string_search_methods()};
  return registry;
}

}  // namespace pagoda::jinja
