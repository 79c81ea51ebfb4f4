// Methods of str that look for parts of it.
#include <algorithm>

#include "text/jinja_eval.h"
#include "text/jinja_filters.h"
#include "text/jinja_string_methods.h"
#include "text/jinja_text.h"

namespace pagoda::jinja {
namespace {

PyValue like(const PyValue& self, std::string_view text) {
  return PyValue::string(std::string(text), self.is_markup());
}

PyValue list_of(Interpreter& interpreter, const PyValue& self, const std::vector<std::string_view>& parts) {
  interpreter.budget().charge(static_cast<int64_t>(parts.size()));
  interpreter.budget().charge_bytes(self.text().size());
  std::vector<PyValue> items;
  for (std::string_view part : parts) items.push_back(like(self, part));
  return PyValue::list(std::move(items));
}

// Backwards there is only the plain search, whose worst case is the product of both sizes.
std::size_t rfind_text(Interpreter& interpreter, std::string_view text, std::string_view part) {
  interpreter.budget().charge(static_cast<int64_t>((text.size() / 64) * (part.size() / 64)));
  return text.rfind(part);
}

std::vector<std::string_view> split_blanks(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip_space(text, true, false);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(strip_space(text, false, true));
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      std::size_t length = char_offset(text.substr(end), 1);
      if (strip_space(text.substr(end, length), true, false).empty()) break;
      end += length;
    }
    parts.push_back(text.substr(0, end));
    text = strip_space(text.substr(end), true, false);
  }
  return parts;
}

std::vector<std::string_view> rsplit_blanks(std::string_view text, int64_t limit) {
  if (limit < 0) return split_blanks(text, limit);
  std::vector<std::string_view> all = split_blanks(text, -1);
  int64_t extra = static_cast<int64_t>(all.size()) - limit;
  if (extra <= 1) return all;
  const char* end =
      all[static_cast<std::size_t>(extra - 1)].data() + all[static_cast<std::size_t>(extra - 1)].size();
  std::vector<std::string_view> parts{
      std::string_view(all[0].data(), static_cast<std::size_t>(end - all[0].data()))};
  parts.insert(parts.end(), all.begin() + extra, all.end());
  return parts;
}

PyValue split(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("split", arguments, {"sep", "maxsplit"});
  int64_t limit = bound.integer(1, -1);
  std::string_view text = self.text();
  if (bound[0].is_none()) return list_of(interpreter, self, split_blanks(text, limit));
  std::string separator = bound.string(0, "");
  if (separator.empty()) fail("ValueError", "empty separator");
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    std::size_t at = find_text(text, separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return list_of(interpreter, self, parts);
}

PyValue rsplit(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("rsplit", arguments, {"sep", "maxsplit"});
  int64_t limit = bound.integer(1, -1);
  std::string_view text = self.text();
  if (bound[0].is_none()) return list_of(interpreter, self, rsplit_blanks(text, limit));
  std::string separator = bound.string(0, "");
  if (separator.empty()) fail("ValueError", "empty separator");
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    std::size_t at = rfind_text(interpreter, text, separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return list_of(interpreter, self, parts);
}

PyValue splitlines(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("splitlines", arguments, {"keepends"});
  return list_of(interpreter, self, split_lines(self.text(), bound.truth(0, false)));
}

template <bool kLast>
PyValue partition(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("partition", arguments, {"sep"}, 1);
  std::string separator = bound.string(0, "");
  if (separator.empty()) fail("ValueError", "empty separator");
  std::string_view text = self.text();
  interpreter.budget().charge_bytes(text.size());
  std::size_t at = kLast ? rfind_text(interpreter, text, separator) : find_text(text, separator);
  if (at == std::string_view::npos)
    return kLast ? PyValue::tuple({like(self, ""), like(self, ""), self})
                 : PyValue::tuple({self, like(self, ""), like(self, "")});
  return PyValue::tuple({like(self, text.substr(0, at)), like(self, separator),
                         like(self, text.substr(at + separator.size()))});
}

PyValue replace(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  std::string old = bound.string(0, ""), fresh = bound.string(1, "");
  int64_t limit = bound.integer(2, -1);
  Budget& budget = interpreter.budget();
  const std::string& text = self.text();
  budget.charge_bytes(text.size());
  std::string out;
  std::size_t pos = 0;
  int64_t done = 0;
  auto put = [&](std::string_view part) {
    budget.check_bytes(out.size() + part.size());
    out += part;
  };
  // An empty pattern matches before every character and at the end.
  for (; limit < 0 || done < limit; ++done) {
    if (old.empty()) {
      put(fresh);
      if (pos >= text.size()) break;
      std::size_t length = char_offset(std::string_view(text).substr(pos), 1);
      put(std::string_view(text).substr(pos, length));
      pos += length;
      continue;
    }
    std::size_t at = find_text(text, old, pos);
    if (at == std::string::npos) break;
    put(std::string_view(text).substr(pos, at - pos));
    put(fresh);
    pos = at + old.size();
  }
  if (pos < text.size()) put(std::string_view(text).substr(pos));
  budget.charge_bytes(out.size());
  return like(self, out);
}

// The part of the string between two positions given as arguments 1 and 2.
std::string_view window(const PyValue& self, const Bound& bound, std::size_t* begin_chars) {
  int64_t size = self.as<StringData>().length();
  auto clamp = [size](int64_t at) { return at < 0 ? std::max<int64_t>(at + size, 0) : at; };
  int64_t start = bound[1].is_none() ? 0 : clamp(bound.integer(1, 0));
  int64_t stop = bound[2].is_none() ? size : std::min(clamp(bound.integer(2, size)), size);
  *begin_chars = static_cast<std::size_t>(start);
  if (start > stop) return std::string_view(nullptr, 0);
  std::string_view text = self.text();
  std::size_t begin = char_offset(text, start);
  return text.substr(begin, char_offset(text.substr(begin), stop - start));
}

template <bool kLast, bool kMustExist>
PyValue find(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  std::string part = bound.string(0, "");
  interpreter.budget().charge(static_cast<int64_t>(self.text().size() / 32));
  std::size_t begin = 0;
  std::string_view text = window(self, bound, &begin);
  std::size_t at = text.data() == nullptr ? std::string_view::npos
                   : kLast                ? rfind_text(interpreter, text, part)
                                          : find_text(text, part);
  if (at != std::string_view::npos)
    return PyValue::integer(static_cast<int64_t>(begin) + count_chars(text.substr(0, at)));
  if (kMustExist) fail("ValueError", "substring not found");
  return PyValue::integer(-1);
}

PyValue count(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  std::string part = bound.string(0, "");
  interpreter.budget().charge(static_cast<int64_t>(self.text().size() / 32));
  std::size_t begin = 0;
  std::string_view text = window(self, bound, &begin);
  if (text.data() == nullptr) return PyValue::integer(0);
  if (part.empty()) return PyValue::integer(count_chars(text) + 1);
  int64_t found = 0;
  for (std::size_t at = find_text(text, part); at != std::string_view::npos;
       at = find_text(text, part, at + part.size()))
    ++found;
  return PyValue::integer(found);
}

template <bool kEnd>
PyValue has_affix(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound(kEnd ? "endswith" : "startswith", arguments, {"prefix", "start", "end"}, 1);
  std::size_t begin = 0;
  std::string_view text = self.text();
  if (bound.has(1)) {
    interpreter.budget().charge(static_cast<int64_t>(text.size() / 32));
    text = window(self, bound, &begin);
  }
  auto matches = [&](const PyValue& affix) {
    require_defined(affix);
    if (!affix.is_string())
      fail("TypeError", std::string(kEnd ? "endswith" : "startswith") +
                            " first arg must be str or a tuple of str, not " + type_name(affix));
    if (text.data() == nullptr) return false;
    return kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text());
  };
  if (!bound[0].is(Kind::kTuple)) return PyValue::boolean(matches(bound[0]));
  interpreter.budget().charge(length_of(bound[0]));
  return PyValue::boolean(std::any_of(bound[0].items().begin(), bound[0].items().end(), matches));
}

template <bool kSuffix>
PyValue remove_affix(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("removeprefix", arguments, {"affix"}, 1);
  std::string affix = bound.string(0, "");
  std::string_view text = self.text();
  interpreter.budget().charge_bytes(text.size());
  if (kSuffix && text.ends_with(affix))
    text.remove_suffix(affix.size());
  else if (!kSuffix && text.starts_with(affix))
    text.remove_prefix(affix.size());
  return like(self, text);
}

struct Named {
  std::string_view name;
  Method method;
};

constexpr Named kMethods[] = {
    {"count", count},
    {"endswith", has_affix<true>},
    {"find", find<false, false>},
    {"index", find<false, true>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rpartition", partition<true>},
    {"rsplit", rsplit},
    {"split", split},
    {"splitlines", splitlines},
    {"startswith", has_affix<false>},
};

}  // namespace

Method find_string_search_method(std::string_view name) {
  for (const Named& named : kMethods)
    if (named.name == name) return named.method;
  return nullptr;
}

}  // namespace pagoda::jinja
