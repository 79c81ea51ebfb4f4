// Steps bound time: whatever a template does in a loop, and however large its operands are, it ends with the
// budget's error after a time that only the number of steps decides.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "base/json.h"
#include "jinja/builtins/filters.h"
#include "jinja/builtins/methods.h"
#include "jinja/builtins/tests.h"
#include "jinja/chat_template.h"
#include "tests/testing/slowdown.h"

namespace pagoda {
namespace {

constexpr std::size_t kBytes = 256 << 10;
constexpr int64_t kSteps = 25'000;
// An operation that charged nothing for its operand would run some 4,000 times over 256 KiB: seconds. One
// that charges ends within milliseconds; the bound leaves room for a busy machine.
constexpr double kSecondsMax = 0.3 * testing::kSlowdown;

std::string repeated(std::string_view text, std::size_t bytes = kBytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

// Operands that make an operation read all of them.
const std::map<std::string, Value>& operands() {
  static const std::map<std::string, Value> kOperands = [] {
    std::map<std::string, Value> all;
    for (const auto& [name, unit] : std::map<std::string, std::string>{{"letters", "a"},
                                                                       {"capitals", "A"},
                                                                       {"wide", "é"},
                                                                       {"blanks", " "},
                                                                       {"digits", "1"},
                                                                       {"words", "Ab c\n\t"},
                                                                       {"tags", "<a>&amp;"},
                                                                       {"formats", "{0}%s"},
                                                                       {"percents", "%%"}})
      all[name] = repeated(unit);
    Array strings, numbers, pairs, objects;
    for (int i = 0; i < 4; ++i) strings.push_back(repeated("b", kBytes / 4) + std::to_string(i));
    for (int i = 0; i < 5000; ++i) numbers.push_back(i);
    for (const Value& text : strings) pairs.push_back(Value(Array{text, text}));
    Object dict;
    for (const Value& text : strings) {
      dict.set(text.as_string(), text);
      Object object;
      object.set("a", text);
      objects.push_back(object);
    }
    all["strings"] = strings;
    all["numbers"] = numbers;
    all["pairs"] = pairs;
    all["objects"] = objects;
    all["dict"] = dict;
    all["number"] = 7;
    return all;
  }();
  return kOperands;
}

Object context_of(const Value& operand) {
  Object context;
  context.set("x", operand);
  context.set("y", operand);  // equal, but another value
  context.set("big", repeated("a"));
  context.set("wide", repeated("é"));
  return context;
}

struct Outcome {
  double seconds = 0;
  bool limited = false;  // ended with the budget's error
};

// The best of three: the machine may be busy with something else.
Outcome run_in_loop(const std::string& body, const Object& context) {
  TemplateLimits limits;
  limits.steps_max =
      kSteps + static_cast<int64_t>(5 * kBytes / 16);  // the operands themselves are paid for, too
  auto chat_template = ChatTemplate::parse(
      "{% for i in range(100000) %}{% for j in range(100000) %}" + body + "{% endfor %}{% endfor %}", limits);
  EXPECT_TRUE(chat_template.ok()) << body << ": " << chat_template.status().message();
  Outcome run{1e9, false};
  for (int i = 0; i < 3 && chat_template.ok(); ++i) {
    auto start = std::chrono::steady_clock::now();
    Result<std::string> text = (*chat_template)->render(context, {1700000000, ""});
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    run.seconds = std::min(run.seconds, seconds);
    run.limited = !text.ok() && text.status().message().starts_with("LimitError");
    if (run.seconds < kSecondsMax) break;
  }
  return run;
}

// Runs one expression over every operand. True if some operand let it run until the budget ended it.
bool judge(const std::string& expression) {
  bool limited = false;
  for (const auto& [name, operand] : operands()) {
    Outcome run = run_in_loop("{% if (" + expression + ") is none %}{% endif %}", context_of(operand));
    EXPECT_LT(run.seconds, kSecondsMax) << expression << " over " << name;
    limited |= run.limited;
  }
  return limited;
}

// Arguments that an operation needs or that make it work harder; each is tried. No entry: none.
using ArgumentTable = std::map<std::string, std::vector<std::string>>;

std::vector<std::string> arguments_of(const ArgumentTable& table, std::string_view name) {
  auto found = table.find(std::string(name));
  return found == table.end() ? std::vector<std::string>{""} : found->second;
}

bool is_lazy(std::string_view filter) {
  const auto lazy = jinja::lazy_filters();
  return std::any_of(lazy.begin(), lazy.end(), [&](const auto& entry) { return entry.name == filter; });
}

TEST(Budget, EveryFilterIsPaidForByLength) {
  const ArgumentTable kArguments = {
      {"attr", {"('b' ~ big)"}},
      {"batch", {"(2)", "(100000, 'x')"}},
      {"center", {"(300000)"}},
      {"default", {"", "(big, true)"}},
      {"d", {"(big, true)"}},
      {"dictsort", {"", "(by='value')", "(case_sensitive=true)"}},
      {"format", {"", "(big)", "(a=big)"}},
      {"groupby", {"('a')", "(0)"}},
      {"indent", {"", "(2, true, true)", "(big)"}},
      {"int", {"", "(0, 16)"}},
      {"join", {"", "(big)", "('', attribute='a')"}},
      {"map", {"('upper')", "(attribute='a')", "('replace', 'b', 'c')", "('default', big)"}},
      {"max", {"", "(attribute='a')"}},
      {"min", {"", "(case_sensitive=true)"}},
      {"reject", {"('equalto', big)", "('in', [big, wide])"}},
      {"rejectattr", {"('a', 'equalto', big)"}},
      {"replace", {"('a', 'b')", "('', '')", "(big, 'b')", "('é', 'e', 1)"}},
      {"select", {"", "('string')", "('lower')", "('equalto', big)"}},
      {"selectattr", {"('a')", "('a', 'upper')"}},
      {"slice", {"(3)", "(100, 'x')"}},
      {"sort", {"", "(case_sensitive=true)", "(attribute='a')", "(attribute=big)"}},
      {"sum", {"", "(start=[])", "(attribute='a', start=[])"}},
      {"tojson", {"", "(indent=4)", "(ensure_ascii=true)", "(sort_keys=true)", "(separators=[big, big])"}},
      {"trim", {"", "('a1é ')", "(big)"}},
      {"truncate", {"(100000)", "(100000, true)"}},
      {"unique", {"", "(true)", "(attribute='a')"}},
      {"wordwrap", {"(10)", "(100000)", "(1, true, 'ab')"}},
  };
  for (const auto& [name, filter] : jinja::filters().entries()) {
    bool limited = false;
    for (const std::string& arguments : arguments_of(kArguments, name)) {
      std::string applied = "x|" + std::string(name) + arguments;
      limited |= judge(applied);
      // What answers with an iterator has done nothing yet.
      if (is_lazy(name)) limited |= judge("(" + applied + ")|list");
    }
    EXPECT_TRUE(limited) << name << ": no operand makes it run; give it arguments that do";
  }
}

TEST(Budget, EveryTestIsPaidForByLength) {
  const ArgumentTable kArguments = {
      {"divisibleby", {"(3)"}}, {"in", {"(big)", "([big, wide, y])"}},
      {"sameas", {"(y)"}},      {"==", {"(y)"}},
      {"!=", {"(y)"}},          {"<", {"(y)"}},
      {"<=", {"(y)"}},          {">", {"(y)"}},
      {">=", {"(y)"}},          {"eq", {"(y)"}},
      {"equalto", {"(y)"}},     {"ge", {"(y)"}},
      {"greaterthan", {"(y)"}}, {"gt", {"(y)"}},
      {"le", {"(y)"}},          {"lessthan", {"(y)"}},
      {"lt", {"(y)"}},          {"ne", {"(y)"}},
  };
  for (const auto& [name, test] : jinja::tests().entries()) {
    bool limited = false;
    for (const std::string& arguments : arguments_of(kArguments, name)) {
      bool symbol = name[0] < 'A' || name[0] == '=';
      if (!symbol) limited |= judge("x is " + std::string(name) + arguments);
      std::string rest = arguments.empty() ? "" : ", " + arguments.substr(1, arguments.size() - 2);
      limited |= judge("[x]|select('" + std::string(name) + "'" + rest + ")|list");
    }
    EXPECT_TRUE(limited) << name;
  }
}

TEST(Budget, EveryMethodOfStringsIsPaidForByLength) {
  const ArgumentTable kArguments = {
      {"center", {"(300000)"}},
      {"count", {"('a')", "(big)", "('')", "('a', 1, 200000)"}},
      {"endswith", {"(y)", "(y, 1)", "((y, y, big))"}},
      {"expandtabs", {"()", "(1)"}},
      {"find", {"('zz')", "(big)", "('b' ~ y)", "('zz', 5, 100000)"}},
      {"format", {"(1)", "(big)", "(a=big)"}},
      {"format_map", {"({'a': big})"}},
      {"index", {"(y)", "('', 100000)"}},
      {"join", {"(['a', y, big])", "('abc')"}},
      {"ljust", {"(300000)"}},
      {"lstrip", {"()", "(y)", "('a1')"}},
      {"partition", {"('zz')", "(y)", "(' ')"}},
      {"removeprefix", {"(y)"}},
      {"removesuffix", {"(y)"}},
      {"replace", {"('a', 'b')", "('', 'b')", "(y, y)", "('zz', y)"}},
      {"rfind", {"('zz')", "('b' ~ y)", "(y)"}},
      {"rindex", {"(y)"}},
      {"rjust", {"(300000)"}},
      {"rpartition", {"('zz')", "(y)"}},
      {"rsplit", {"()", "('a')", "('zz')", "(y, 3)", "(none, 2)"}},
      {"rstrip", {"()", "(y)", "('a1')"}},
      {"split", {"()", "('a')", "('zz')", "(y, 3)", "(none, 2)"}},
      {"splitlines", {"()", "(true)"}},
      {"startswith", {"(y)", "(y, 0)", "((big, y))"}},
      {"strip", {"()", "(y)", "('a1')"}},
      {"zfill", {"(300000)"}},
  };
  for (const auto& [name, method] : jinja::string_methods().entries()) {
    bool limited = false;
    auto found = arguments_of(kArguments, name);
    for (const std::string& arguments : found)
      limited |= judge("x." + std::string(name) + (arguments.empty() ? "()" : arguments));
    EXPECT_TRUE(limited) << name;
  }
}

TEST(Budget, EveryOperatorIsPaidForByLength) {
  for (const char* expression : {"x == y",
                                 "x != y",
                                 "x < y",
                                 "x <= y",
                                 "x > y",
                                 "x >= y",
                                 "x in y",
                                 "x not in y",
                                 "y in [x, x]",
                                 "'zz' in x",
                                 "x in ['a', y]",
                                 "x in {'a': 1}",
                                 "x ~ y",
                                 "x ~ 1",
                                 "x + y",
                                 "x * 2",
                                 "2 * x",
                                 "x % y",
                                 "x % (y, y)",
                                 "'%s' % x",
                                 "'%5s %.3s' % (x, x)",
                                 "'%r' % x",
                                 "x[0]",
                                 "x[-1]",
                                 "x[100000]",
                                 "x[1:]",
                                 "x[:-1]",
                                 "x[::2]",
                                 "x[::-1]",
                                 "x[5:100000:3]",
                                 "{x: 1}",
                                 "{x: 1}[y]",
                                 "{'a': 1}[x]",
                                 "{x: 1, y: 2}",
                                 "[x, y] == [y, x]",
                                 "(x, 1) == (y, 1)",
                                 "(x, 1) < (y, 2)",
                                 "[x, y]|sort",
                                 "{'a': x} == {'a': y}",
                                 "x.y",
                                 "x[big]",
                                 "x.get(big)",
                                 "x.items()|list",
                                 "x.keys()|list",
                                 "x.values()|list == y",
                                 "x.index(y)",
                                 "x.count(y)",
                                 "x is in [y]",
                                 "dict(x)",
                                 "dict(a=x) == dict(a=y)",
                                 "namespace(a=x).a",
                                 "namespace(**{'a': x})",
                                 "[*x]",
                                 "range(x)",
                                 "cycler(x, y).next()",
                                 "joiner(x)()",
                                 "strftime_now(x)",
                                 "x|string == y|string",
                                 "x|list",
                                 "x|length",
                                 "wide[-1]",
                                 "wide[100000:100001]",
                                 "wide|length",
                                 "not x",
                                 "x and y",
                                 "x or y",
                                 "x if x == y else y",
                                 "'{:>300000}'.format(1)",
                                 "'{0}{0!r}'.format(x)",
                                 "'{x}'.format(x=x)",
                                 "'{0:.1}{0:.1}{0:.1}'.format(x)",
                                 "x|map('length')|sum"}) {
    if (!ChatTemplate::parse("{{ " + std::string(expression) + " }}").ok()) continue;  // not of this dialect
    judge(expression);
  }
}

// Statements that handle large values: printing, capturing, unpacking, passing to macros.
TEST(Budget, StatementsArePaidForByLength) {
  for (const char* body :
       {"{% set z %}{{ x }}{% endset %}", "{% set z %}{{ x }}{% break %}{% endset %}", "{% set z = x ~ '' %}",
        "{% set z | upper %}{{ x }}{% endset %}", "{% filter trim %}{{ x }}{% endfilter %}",
        "{% for c in x %}{% endfor %}", "{% for c in x if c == 'q' %}{% endfor %}",
        "{% for c in x %}{% if loop.last %}{% endif %}{% break %}{% endfor %}",
        "{% for c in x %}{{ loop.length }}{% break %}{% endfor %}",
        "{% for c in [x, y, x] %}{% if loop.changed(c) %}{% endif %}{% endfor %}",
        "{% macro m(a) %}{% set z = a == y %}{% endmacro %}{% set q = m(x) %}",
        "{% macro m() %}{{ x }}{% endmacro %}{% set q = m() %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ x }}{% endcall %}",
        "{% with z = x ~ 'a' %}{% endwith %}", "{% set ns = namespace(a='') %}{% set ns.a = ns.a ~ x %}"}) {
    for (const auto& [name, operand] : operands()) {
      Outcome run = run_in_loop(body, context_of(operand));
      EXPECT_LT(run.seconds, kSecondsMax) << body << " over " << name;
    }
  }
}

}  // namespace
}  // namespace pagoda
