// Methods of str that look for parts of it.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/builtins/methods.h"
#include "jinja/eval.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

PyValue like(const PyValue& self, std::string_view text) {
  return PyValue::string(std::string(text), self.is_markup());
}

// What a string is cut into; each part is paid for before it is kept.
class Parts {
 public:
  explicit Parts(Interpreter& interpreter) : budget_(interpreter.budget()) {}
  void add(std::string_view part) {
    budget_.charge(4);
    parts_.push_back(part);
  }
  std::vector<std::string_view>& all() { return parts_; }
  bool full(int64_t limit) const { return limit >= 0 && static_cast<int64_t>(parts_.size()) >= limit; }
  PyValue list(const PyValue& self) const {
    std::vector<PyValue> items;
    for (std::string_view part : parts_) items.push_back(like(self, part));
    return PyValue::list(std::move(items));
  }

 private:
  Budget& budget_;
  std::vector<std::string_view> parts_;
};

void split_blanks(std::string_view text, int64_t limit, Parts* parts) {
  text = strip_space(text, true, false);
  while (!text.empty()) {
    if (parts->full(limit)) return parts->add(strip_space(text, false, true));
    std::size_t end = 0;
    while (end < text.size()) {
      Utf8Char c = decode_utf8(text, end);
      if (is_space(c.code_point)) break;
      end += c.length;
    }
    parts->add(text.substr(0, end));
    text = strip_space(text.substr(end), true, false);
  }
}

void rsplit_blanks(std::string_view text, int64_t limit, Parts* parts) {
  split_blanks(text, -1, parts);
  std::vector<std::string_view>& all = parts->all();
  int64_t extra = static_cast<int64_t>(all.size()) - limit;
  if (limit < 0 || extra <= 1) return;
  // The first ones stay together, with what is between them.
  std::string_view last = all[static_cast<std::size_t>(extra - 1)];
  all[0] =
      std::string_view(all[0].data(), static_cast<std::size_t>(last.data() + last.size() - all[0].data()));
  all.erase(all.begin() + 1, all.begin() + extra);
}

void split_at(std::string_view text, std::string_view separator, int64_t limit, Parts* parts) {
  while (!parts->full(limit)) {
    std::size_t at = find_text(text, separator);
    if (at == std::string_view::npos) break;
    parts->add(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts->add(text);
}

void rsplit_at(std::string_view text, std::string_view separator, int64_t limit, Parts* parts) {
  BackwardSearch search(text, separator);
  while (!parts->full(limit)) {
    std::size_t at = search.next();
    if (at == std::string_view::npos) break;
    parts->add(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts->add(text);
  std::reverse(parts->all().begin(), parts->all().end());
}

template <bool kBackwards>
PyValue split(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound(kBackwards ? "rsplit" : "split", arguments, {"sep", "maxsplit"});
  int64_t limit = bound.integer(1, -1);
  Parts parts(interpreter);
  if (bound[0].is_none()) {
    (kBackwards ? rsplit_blanks : split_blanks)(self.text(), limit, &parts);
  } else {
    std::string separator = bound.string(0, "");
    if (separator.empty()) fail("ValueError", "empty separator");
    (kBackwards ? rsplit_at : split_at)(self.text(), separator, limit, &parts);
  }
  return parts.list(self);
}

PyValue splitlines(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("splitlines", arguments, {"keepends"});
  Parts parts(interpreter);
  for_each_line(self.text(), bound.truth(0, false), [&](std::string_view line) { parts.add(line); });
  return parts.list(self);
}

template <bool kLast>
PyValue partition(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("partition", arguments, {"sep"}, 1);
  std::string separator = bound.string(0, "");
  if (separator.empty()) fail("ValueError", "empty separator");
  std::string_view text = self.text();
  std::size_t at = kLast ? BackwardSearch(text, separator).next() : find_text(text, separator);
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
  std::string out;
  std::size_t pos = 0;
  int64_t done = 0;
  auto put = [&](std::string_view part) {
    budget.check_bytes(out.size() + part.size());
    out += part;
  };
  // An empty pattern matches before every character and at the end.
  for (; limit < 0 || done < limit; ++done) {
    budget.charge();
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
  return PyValue::string(std::move(out), self.is_markup());
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
PyValue find(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  std::string part = bound.string(0, "");
  std::size_t begin = 0;
  std::string_view text = window(self, bound, &begin);
  std::size_t at = text.data() == nullptr ? std::string_view::npos
                   : kLast                ? BackwardSearch(text, part).next()
                                          : find_text(text, part);
  if (at != std::string_view::npos)
    return PyValue::integer(static_cast<int64_t>(begin) + count_chars(text.substr(0, at)));
  if (kMustExist) fail("ValueError", "substring not found");
  return PyValue::integer(-1);
}

PyValue count(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  std::string part = bound.string(0, "");
  std::size_t begin = 0;
  std::string_view text = window(self, bound, &begin);
  if (text.data() == nullptr) return PyValue::integer(0);
  if (part.empty()) return PyValue::integer(count_chars(text) + 1);
  int64_t found = 0;
  for (std::size_t at = find_text(text, part); at != std::string_view::npos;
       at = find_text(text, part, at + part.size())) {
    interpreter.budget().charge();
    ++found;
  }
  return PyValue::integer(found);
}

template <bool kEnd>
PyValue has_affix(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound(kEnd ? "endswith" : "startswith", arguments, {"prefix", "start", "end"}, 1);
  std::size_t begin = 0;
  std::string_view text = self.text();
  if (bound.has(1)) text = window(self, bound, &begin);
  auto matches = [&](const PyValue& affix) {
    require_defined(affix);
    if (!affix.is_string())
      fail("TypeError", std::string(kEnd ? "endswith" : "startswith") +
                            " first arg must be str or a tuple of str, not " + type_name(affix));
    if (text.data() == nullptr) return false;
    interpreter.budget().charge(1 + static_cast<int64_t>(std::min(text.size(), affix.text().size()) / 32));
    return kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text());
  };
  if (!bound[0].is(Kind::kTuple)) return PyValue::boolean(matches(bound[0]));
  return PyValue::boolean(std::any_of(bound[0].items().begin(), bound[0].items().end(), matches));
}

template <bool kSuffix>
PyValue remove_affix(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("removeprefix", arguments, {"affix"}, 1);
  std::string affix = bound.string(0, "");
  std::string_view text = self.text();
  if (kSuffix && text.ends_with(affix))
    text.remove_suffix(affix.size());
  else if (!kSuffix && text.starts_with(affix))
    text.remove_prefix(affix.size());
  return like(self, text);
}

constexpr Registry<Method>::Entry kMethods[] = {
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
    {"rsplit", split<true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", has_affix<false>},
};

}  // namespace

Registry<Method>::Part string_search_methods() {
  return kMethods;
}

}  // namespace pagoda::jinja
