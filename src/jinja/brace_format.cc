// str.format: replacement fields in braces.
#include <algorithm>

#include "jinja/format.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

class BraceFormatter {
 public:
  BraceFormatter(Budget* budget, const Arguments& arguments) : budget_(budget), arguments_(arguments) {}

  // `depth`: a format specification may hold fields, and theirs once more.
  std::string run(std::string_view text, int depth, bool escape) {
    if (depth > 3) fail("ValueError", "Max string recursion exceeded");
    std::string out;
    for (std::size_t pos = 0; pos < text.size();) {
      budget_->charge();
      char c = text[pos++];
      if (c != '{' && c != '}') {
        std::size_t end = std::min(text.find_first_of("{}", pos), text.size());
        out += text.substr(pos - 1, end - pos + 1);
        pos = end;
      } else if (pos < text.size() && text[pos] == c) {
        out += c;
        ++pos;
      } else if (c == '}') {
        fail("ValueError", "Single '}' encountered in format string");
      } else {
        std::string item = field(text, &pos, depth);
        if (escape) budget_->charge_reading(item.size());
        out += escape ? escape_html(item) : item;
      }
      budget_->check_bytes(out.size());
    }
    return out;
  }

 private:
  // A field behind its opening brace: name, !conversion, :specification.
  std::string field(std::string_view text, std::size_t* pos, int depth) {
    std::size_t begin = *pos, nested = 1, at = begin;
    for (; at < text.size() && nested > 0; ++at)
      nested += text[at] == '{' ? 1 : text[at] == '}' ? std::size_t(-1) : 0;
    if (nested > 0)
      fail("ValueError", begin == text.size() ? "Single '{' encountered in format string"
                                              : "expected '}' before end of string");
    *pos = at;
    std::string_view inner = text.substr(begin, at - begin - 1);
    std::size_t bracket = inner.find('['), end = inner.find_first_of("!:");
    if (bracket < end) end = inner.find_first_of("!:", std::min(inner.find(']', bracket), inner.size()));
    std::string_view name = inner.substr(0, end);
    char conversion = '\0';
    std::string_view spec;
    if (end != std::string_view::npos && inner[end] == '!') {
      if (end + 1 >= inner.size()) fail("ValueError", "end of string while looking for conversion specifier");
      conversion = inner[end + 1];
      if (end + 2 < inner.size() && inner[end + 2] != ':')
        fail("ValueError", "expected ':' after conversion specifier");
      if (end + 3 < inner.size()) spec = inner.substr(end + 3);
    } else if (end != std::string_view::npos) {
      spec = inner.substr(end + 1);
    }
    PyValue value = lookup(name);
    if (conversion == 's') {
      value = PyValue::string(to_str(budget_, value));
    } else if (conversion == 'r' || conversion == 'a') {
      std::string shown;
      append_repr(budget_, &shown, value);
      value = PyValue::string(std::move(shown));
    } else if (conversion != '\0') {
      fail("ValueError", std::string("Unknown conversion specifier ") + conversion);
    }
    return format_value(budget_, value, run(spec, depth + 1, false));
  }

  // arg.attribute[key]...
  PyValue lookup(std::string_view name) {
    std::size_t end = std::min(name.find_first_of(".["), name.size());
    PyValue value = argument(name.substr(0, end));
    while (end < name.size()) {
      bool attribute = name[end] == '.';
      std::size_t begin = end + 1;
      if (attribute) {
        end = std::min(name.find_first_of(".[", begin), name.size());
        if (end == begin) fail("ValueError", "Empty attribute in format string");
        value = get_attribute(budget_, value, name.substr(begin, end - begin));
        continue;
      }
      std::size_t close = name.find(']', begin);
      if (close == std::string_view::npos) fail("ValueError", "Missing ']' in format string");
      if (close == begin) fail("ValueError", "Empty attribute in format string");
      std::string_view key = name.substr(begin, close - begin);
      int64_t index = 0;
      bool digits = std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      value = get_item(budget_, value,
                       digits && parse_int(key, 10, &index) ? PyValue::integer(index) : PyValue::string(key));
      end = close + 1;
      if (end < name.size() && name[end] != '.' && name[end] != '[')
        fail("ValueError", "Only '.' or '[' may follow ']' in format field specifier");
    }
    return value;
  }

  const PyValue& argument(std::string_view name) {
    int64_t index = 0;
    bool digits =
        !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (name.empty() || digits) {
      if ((name.empty() && numbering_ == 2) || (digits && numbering_ == 1))
        fail("ValueError", "cannot switch between automatic field numbering and manual field specification");
      numbering_ = name.empty() ? 1 : 2;
      if (name.empty())
        index = next_++;
      else if (!parse_int(name, 10, &index))
        index = INT64_MAX;
      if (index >= static_cast<int64_t>(arguments_.positional.size()))
        fail("IndexError",
             "Replacement index " + std::to_string(index) + " out of range for positional args tuple");
      return arguments_.positional[static_cast<std::size_t>(index)];
    }
    budget_->charge_reading(arguments_.named.size() + name.size());
    for (const auto& [key, value] : arguments_.named)
      if (key == name) return value;
    fail("KeyError", quoted(name));
  }

  Budget* budget_;
  const Arguments& arguments_;
  int64_t next_ = 0;
  int numbering_ = 0;  // 1 automatic, 2 by number
};

}  // namespace

PyValue brace_format(Budget* budget, const PyValue& format, const Arguments& arguments) {
  BraceFormatter formatter(budget, arguments);
  std::string out = formatter.run(format.text(), 1, format.is_markup());
  return PyValue::string(std::move(out), format.is_markup());
}

}  // namespace pagoda::jinja
