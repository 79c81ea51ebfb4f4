// Filters of text.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/builtins/filters.h"
#include "jinja/builtins/methods.h"
#include "jinja/eval.h"
#include "jinja/format.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

template <std::string (*Convert)(std::string_view)>
PyValue filter_case(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("filter", arguments, {});
  PyValue text = soft_string(interpreter, value);
  interpreter.budget().charge(static_cast<int64_t>(text.text().size() / 2));  // a table look-up per character
  return PyValue::string(Convert(text.text()), text.is_markup());
}

// Capitals after white space, brackets and hyphens, unlike str.title().
std::string title_words(std::string_view text) {
  std::string out;
  bool start = true;
  std::size_t word = 0;
  auto flush = [&](std::size_t end) {
    if (end == word) return;
    std::size_t first = char_offset(text.substr(word, end - word), 1);
    out += to_upper(text.substr(word, first)) + to_lower(text.substr(word + first, end - word - first));
  };
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = char_offset(text.substr(i), 1);
    std::string_view c = text.substr(i, length);
    bool separator =
        strip_space(c, true, false).empty() || std::string_view("-({[<").find(c) != std::string_view::npos;
    if (separator != start) {
      flush(i);
      word = i;
      start = separator;
    }
    i += length;
  }
  flush(text.size());
  return out;
}

PyValue filter_trim(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("trim", arguments, {"chars"});
  PyValue text = soft_string(interpreter, value);
  if (bound[0].is_none())
    return PyValue::string(std::string(strip_space(text.text(), true, true)), text.is_markup());
  return PyValue::string(std::string(strip_chars(text.text(), bound.string(0, ""), true, true)),
                         text.is_markup());
}

PyValue filter_replace(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  int64_t count = bound[2].is_none() ? -1 : bound.integer(2, -1);
  Arguments call;
  call.positional = {PyValue::string(interpreter.str(bound[0])), PyValue::string(interpreter.str(bound[1])),
                     PyValue::integer(count)};
  PyValue text = PyValue::string(interpreter.str(value));
  return find_method(text, "replace")(interpreter, text, call);
}

PyValue filter_center(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("center", arguments, {"width"});
  PyValue text = soft_string(interpreter, value);
  Arguments call;
  call.positional = {PyValue::integer(bound.integer(0, 80))};
  return find_method(text, "center")(interpreter, text, call);
}

PyValue filter_format(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    fail("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  PyValue format = soft_string(interpreter, value);
  if (arguments.named.empty())
    return percent_format(&interpreter.budget(), format, PyValue::tuple(arguments.positional));
  auto dict = std::make_shared<DictData>();
  for (auto& [name, argument] : arguments.named) dict->append_new(name, argument);
  return percent_format(&interpreter.budget(), format, PyValue::of(Kind::kDict, std::move(dict)));
}

const std::string& require_string(const PyValue& value, const char* what) {
  require_defined(value);
  if (!value.is_string()) fail("TypeError", std::string(what) + " needs a string, not " + type_name(value));
  return value.text();
}

PyValue filter_indent(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("indent", arguments, {"width", "first", "blank"});
  bool first = bound.truth(1, false), blank = bound.truth(2, false);
  std::string text = require_string(value, "indent") + "\n";
  std::string indention;
  if (bound[0].is_string()) {
    indention = bound[0].text();
  } else {
    int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
    interpreter.budget().charge_repeat(static_cast<std::size_t>(width), 1);
    indention.assign(static_cast<std::size_t>(width), ' ');
  }
  std::string out = first ? indention : std::string();
  bool is_first = true;
  for_each_line(text, false, [&](std::string_view line) {
    if (!is_first) out += '\n';
    if (!is_first && (blank || !line.empty())) out += indention;
    out += line;
    is_first = false;
    interpreter.budget().charge_bytes(indention.size() + 32);
    interpreter.budget().check_bytes(out.size());
  });
  return PyValue::string(std::move(out), value.is_markup());
}

PyValue filter_truncate(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const std::string& text = require_string(value, "truncate");
  std::string end = bound.string(2, "...");
  int64_t length = bound.integer(0, 255), leeway = bound[3].is_none() ? 5 : bound.integer(3, 5);
  int64_t end_chars = count_chars(end);
  if (length < end_chars)
    fail("AssertionError",
         "expected length >= " + std::to_string(end_chars) + ", got " + std::to_string(length));
  if (leeway < 0) fail("AssertionError", "expected leeway >= 0, got " + std::to_string(leeway));
  if (length_of(value) - leeway <= length) return value;
  std::string out = text.substr(0, char_offset(text, length - end_chars));
  if (!bound.truth(1, false)) out.resize(std::min(out.size(), out.rfind(' ')));
  return PyValue::string(out + end);
}

// textwrap.wrap without expanding tabs or replacing white space: words, and the runs of blanks between them.
std::vector<std::string> wrap_line(Budget* budget, std::string_view line, std::size_t width, bool break_words,
                                   bool break_hyphens) {
  auto is_blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::vector<std::string_view> chunks;
  for (std::size_t i = 0; i < line.size();) {
    std::size_t end = i;
    while (end < line.size() && is_blank(line[end]) == is_blank(line[i])) {
      ++end;
      // A hyphen between letters ends a chunk.
      bool hyphen = break_hyphens && end >= i + 2 && end < line.size() && line[end - 1] == '-' &&
                    is_word(static_cast<unsigned char>(line[end - 2])) &&
                    is_word(static_cast<unsigned char>(line[end]));
      if (hyphen) break;
    }
    budget->charge(4);
    chunks.push_back(line.substr(i, end - i));
    i = end;
  }
  std::vector<std::string> lines;
  std::string current;
  std::size_t used = 0, next = 0;
  while (next < chunks.size()) {
    std::string_view chunk = chunks[next];
    // Only as far as a line reaches: a chunk may be the whole text.
    std::size_t room = char_offset(chunk, static_cast<int64_t>(width - used));
    if (used == 0 && !lines.empty() && is_blank(chunk[0])) {
      ++next;
      continue;
    }
    if (room == chunk.size()) {
      current += chunk;
      used += static_cast<std::size_t>(count_chars(chunk));
      ++next;
      continue;
    }
    if ((break_words || used == 0) && char_offset(chunk, static_cast<int64_t>(width)) < chunk.size()) {
      if (!break_words) room = chunk.size();
      current += chunk.substr(0, room);
      chunks[next].remove_prefix(room);
      if (chunks[next].empty()) ++next;
    }
    budget->charge(4);
    lines.emplace_back(strip_space(current, false, true));
    current.clear();
    used = 0;
  }
  if (!current.empty()) lines.emplace_back(strip_space(current, false, true));
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

PyValue filter_wordwrap(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("wordwrap", arguments, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  const std::string& text = require_string(value, "wordwrap");
  int64_t width = bound.integer(0, 79);
  if (width <= 0) fail("ValueError", "invalid width " + std::to_string(width) + " (must be > 0)");
  std::string separator = bound[2].is_none() ? "\n" : bound.string(2, "\n");
  interpreter.budget().charge(static_cast<int64_t>(text.size()));
  std::string out;
  bool first_line = true;
  for_each_line(text, false, [&](std::string_view line) {
    if (!first_line) out += separator;
    first_line = false;
    bool first = true;
    for (const std::string& part : wrap_line(&interpreter.budget(), line, static_cast<std::size_t>(width),
                                             bound.truth(1, true), bound.truth(3, true))) {
      if (!first) out += separator;
      first = false;
      out += part;
      interpreter.budget().check_bytes(out.size());
    }
  });
  return PyValue::string(std::move(out));
}

PyValue filter_wordcount(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("wordcount", arguments, {});
  std::string text = interpreter.str(value);
  interpreter.budget().charge(static_cast<int64_t>(text.size()));  // each character is classified
  int64_t words = 0;
  bool inside = false;
  for_each_char(text, [&](std::size_t, std::string_view c) {
    bool word = !strip_space(c, true, false).empty() &&
                (static_cast<unsigned char>(c[0]) >= 0x80 || is_word(static_cast<unsigned char>(c[0])));
    words += word && !inside;
    inside = word;
  });
  return PyValue::integer(words);
}

void append_url_quoted(std::string* out, std::string_view text, std::string_view safe) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    bool plain = byte < 0x80 && (is_word(byte) || std::string_view("-.~").find(c) != std::string_view::npos ||
                                 safe.find(c) != std::string_view::npos);
    if (plain) {
      *out += c;
    } else if (c == ' ' && safe.empty()) {
      *out += '+';  // as in a form's values
    } else {
      *out += '%';
      *out += kHex[byte >> 4];
      *out += kHex[byte & 15];
    }
  }
}

PyValue filter_urlencode(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("urlencode", arguments, {});
  std::string out;
  if (value.is_string() || !is_iterable(value)) {
    std::string text = interpreter.str(value);
    interpreter.budget().charge_repeat(text.size(), 3);
    append_url_quoted(&out, text, "/");
    return PyValue::string(std::move(out));
  }
  std::vector<PyValue> pairs;
  if (value.is_dict())
    for (const auto& entry : value.as<DictData>().entries())
      pairs.push_back(PyValue::tuple({entry.first, entry.second}));
  else
    pairs = to_vector(&interpreter.budget(), value);
  for (const PyValue& pair : pairs) {
    std::vector<PyValue> parts = to_vector(&interpreter.budget(), pair);
    if (parts.size() != 2) fail("ValueError", "urlencode needs pairs");
    if (!out.empty()) out += '&';
    std::string key = interpreter.str(parts[0]), text = interpreter.str(parts[1]);
    interpreter.budget().charge_reading(key.size() + text.size());
    append_url_quoted(&out, key, "");
    out += '=';
    append_url_quoted(&out, text, "");
    interpreter.budget().check_bytes(out.size());
  }
  return PyValue::string(std::move(out));
}

// Comments and tags out, white space to single blanks, entities of HTML's own five characters back.
PyValue filter_striptags(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("striptags", arguments, {});
  std::string text = interpreter.str(value), plain;
  for (std::size_t i = 0; i < text.size();) {
    bool comment = std::string_view(text).substr(i).starts_with("<!--");
    std::size_t end = comment ? text.find("-->", i) : text[i] == '<' ? text.find('>', i) : std::string::npos;
    if (end == std::string::npos) {
      if (comment || text[i] == '<') {
        plain += text.substr(i);
        break;
      }
      plain += text[i++];
    } else {
      i = end + (comment ? 3 : 1);
    }
  }
  std::string out;
  interpreter.budget().charge(static_cast<int64_t>(plain.size()));
  for_each_char(plain, [&](std::size_t, std::string_view c) {
    bool blank = strip_space(c, true, false).empty();
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  });
  if (out.ends_with(' ')) out.pop_back();
  static constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&#39;", "'"}, {"&#34;", "\""}, {"&quot;", "\""}, {"&amp;", "&"}};
  std::string decoded;
  for (std::size_t i = 0; i < out.size();) {
    auto entity = std::find_if(std::begin(kEntities), std::end(kEntities), [&](const auto& e) {
      return std::string_view(out).substr(i).starts_with(e.first);
    });
    if (entity == std::end(kEntities)) {
      decoded += out[i++];
    } else {
      decoded += entity->second;
      i += entity->first.size();
    }
  }
  return PyValue::string(std::move(decoded));
}

constexpr Registry<Filter>::Entry kFilters[] = {
    {"capitalize", filter_case<capitalize>},
    {"center", filter_center},
    {"format", filter_format},
    {"indent", filter_indent},
    {"lower", filter_case<to_lower>},
    {"replace", filter_replace},
    {"striptags", filter_striptags},
    {"title", filter_case<title_words>},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_case<to_upper>},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
    {"wordwrap", filter_wordwrap},
};

}  // namespace

Registry<Filter>::Part text_filters() {
  return kFilters;
}

}  // namespace pagoda::jinja
