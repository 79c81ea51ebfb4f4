// Templates that want to hang, crash or eat the machine. Each must end soon, as an error that says what was
// too much.
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>

#include "base/cancel.h"
#include "base/json.h"
#include "base/mmap.h"
#include "jinja/chat_template.h"
#include "tests/testing/slowdown.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace {

std::string repeat(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string chain(const char* step, int count) {
  return "{% set ns = namespace(x=[1]) %}{% for i in range(" + std::to_string(count) +
         ") %}{% set ns.x = " + step + " %}{% endfor %}";
}

Result<std::string> run(std::string_view source, const Object& context, const TemplateLimits& limits = {}) {
  PAGODA_TRY(auto chat_template, ChatTemplate::parse(source, limits));
  return chat_template->render(context, {});
}

struct Hostile {
  const char* name;
  std::string source;
  const char* error;  // part of the message; empty: it must render
};

std::vector<Hostile> too_much() {
  const std::string million = "{% for a in range(100000) %}";
  return {
      {"nested loops", million + million + "{% endfor %}{% endfor %}", "steps"},
      {"nested loops that print",
       million + million + "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}", ""},
      {"range", "{{ range(100001) }}", "OverflowError: Range too big"},
      {"range of int64", "{{ range(-9223372036854775807, 9223372036854775807)|length }}", "OverflowError"},
      {"range at the edge", "{{ range(9223372036854775800, 9223372036854775807, 5)|list }}", ""},
      {"doubling by ~", chain("ns.x ~ ns.x", 100), "bytes"},
      {"doubling by +", chain("ns.x + ns.x", 100), "steps"},
      {"string times", "{{ 'ab' * 9223372036854775807 }}", "bytes"},
      {"empty string times", "{{ '' * 9223372036854775807 }}", ""},
      {"list times", "{{ ([1] * 9223372036854775807)|length }}", "bytes"},
      {"join", "{{ range(100000)|join('x' * 1000) }}", "bytes"},
      {"str.join", "{{ ('x' * 1000).join(('a' * 100000)|list) }}", "bytes"},
      {"replace", "{{ ('a' * 100000)|replace('a', 'b' * 1000) }}", "bytes"},
      {"replace nothing", "{{ ('a' * 100000)|replace('', 'b' * 1000) }}", "bytes"},
      {"center", "{{ 'a'|center(9000000000000000000) }}", "bytes"},
      {"zfill", "{{ 'a'.zfill(9000000000000000000) }}", "bytes"},
      {"percent width", "{{ '%999999999d' % 1 }}", "bytes"},
      {"percent star", "{{ '%*d' % (9223372036854775807, 1) }}", "bytes"},
      {"percent precision", "{{ '%.999999999f' % 1 }}", "precision"},
      {"brace width", "{{ '{:999999999}'.format(1) }}", "bytes"},
      {"indent", "{{ ('a\n' * 100000)|indent(1000) }}", "bytes"},
      {"json indent", "{{ [[1]]|tojson(indent=900000000000) }}", "bytes"},
      {"batch fill", "{{ [1]|batch(9000000000000, 'x')|list }}", "bytes"},
      {"slice count", "{{ [1]|slice(9000000000000)|list }}", "steps"},
      {"wordwrap", "{{ ('a' * 100000)|wordwrap(1, true, 'x' * 1000) }}", "bytes"},
      {"exponential list printed", chain("[ns.x, ns.x]", 60) + "{{ ns.x }}", "LimitError"},
      {"exponential list compared",
       chain("[ns.x, ns.x]", 60) + "{% set y = ns.x %}{{ [y, [1]] == [y + [], [1]] }}", ""},
      {"exponential list as JSON", chain("[ns.x, ns.x]", 60) + "{{ ns.x|tojson }}", "LimitError"},
      {"exponential tuple hashed", chain("(ns.x, ns.x)", 60) + "{{ {(ns.x, 1): 1} }}", "unhashable"},
      {"deep list", chain("[ns.x]", 100000), "nests deeper"},
      {"deep generator", chain("ns.x|map('string')", 100000), "nests deeper"},
      {"deep namespaces", chain("namespace(x=ns.x)", 100000), ""},
      {"namespace in itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}", "nests"},
      {"loop kept by itself",
       "{% set ns = namespace() %}{% for i in [1] %}{% set ns.l = loop %}{{ loop.changed(loop) }}{% endfor "
       "%}",
       ""},
      {"method of a loop kept",
       "{% set ns = namespace() %}{% for i in [1] %}{% set ns.f = loop.changed %}{% endfor %}{{ ns.f(ns.f) "
       "}}",
       ""},
      {"generator that asks itself",
       "{% set ns = namespace() %}{% set ns.g = ([ns] * 100000)|map(attribute='g')|map('list') %}{{ "
       "ns.g|list }}",
       "ValueError: generator already executing"},
      {"unique that holds itself",
       "{% set ns = namespace() %}{% set ns.g = [ns, ns]|map(attribute='g')|unique %}{% for x in ns.g %}{% "
       "break %}{% endfor %}",
       ""},
      {"macro kept beyond its loop",
       "{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = m "
       "%}{% endfor %}{{ ns.m() }}",
       ""},
      {"caller kept beyond its call",
       "{% set ns = namespace() %}{% macro m() %}{% set ns.c = caller %}{% endmacro %}{% for i in [7] %}{% "
       "call m() %}{{ i }}{% endcall %}{% endfor %}{{ ns.c() }}",
       ""},
      {"recursive loop kept",
       "{% set ns = namespace() %}{% for q in [1] %}{% for i in [1] recursive %}{% set ns.l = loop %}{{ i "
       "}}{{ q }}{% endfor %}{% endfor %}{{ ns.l([5]) }}",
       ""},
      {"endless macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nests"},
      {"endless macro in filters", "{% macro f() %}{{ [f()]|map('upper')|list|join }}{% endmacro %}{{ f() }}",
       "nests"},
      {"two endless macros",
       "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", "nests"},
      {"endless caller",
       "{% macro f() %}{{ caller if 0 }}{% call f() %}x{% endcall %}{% endmacro %}{{ f() }}", "nests"},
      {"endless recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nests"},
      {"fibonacci",
       "{% macro f(n) %}{% if n > 1 %}{{ f(n - 1) }}{{ f(n - 2) }}{% endif %}{% endmacro %}{{ f(60) }}",
       "steps"},
      {"int64 overflow", "{{ 9223372036854775807 + 1 }}", "OverflowError"},
      {"int64 minimum", "{{ (-9223372036854775807 - 1) // -1 }}", "OverflowError"},
      {"int64 modulo", "{{ (-9223372036854775807 - 1) % -1 }}", ""},
      {"power", "{{ 10 ** 100000000 }}", "OverflowError"},
      {"power of one", "{{ 1 ** 9223372036854775807 }}", ""},
      {"abs of minimum", "{{ (-9223372036854775807 - 1)|abs }}", "OverflowError"},
      {"slice bounds", "{{ 'abc'[9223372036854775807:-9223372036854775807:-9223372036854775807] }}", ""},
      {"endless trimming", "{% set x = 'a' * 1000000 %}" + million + "{% set y = x|trim %}{% endfor %}",
       "steps"},
      {"counting many words", "{{ ('a ' * 4190000)|wordcount }}", "steps"},
      {"endless capitals", million + "{% set x = ('a' * 1000000)|upper %}{% endfor %}", "steps"},
      {"slow search", "{{ ('a' * 1000000).find('a' * 500000 ~ 'b') }}", ""},
      {"slow search backwards", "{{ ('a' * 1000000).rfind('b' ~ 'a' * 500000) }}", ""},
      {"invalid UTF-8", "{{ '\xff\xfe' ~ s }}\x80", ""},
      {"zero bytes", std::string("a\0b{{ '\0' }}", 12), ""},
      {"many keywords", "{{ dict(**dict(" + repeat("a=1, ", 1) + "b=2)) }}", ""},
  };
}

TEST(Hostile, EndsWithAnErrorWhereItIsTooMuch) {
  Object context;
  context.set("s", "x");
  TemplateLimits limits;  // smaller than the default, so that the test is quick
  limits.steps_max = 4'000'000;
  limits.output_bytes_max = 8u << 20;
  for (const Hostile& hostile : too_much()) {
    auto start = std::chrono::steady_clock::now();
    Result<std::string> result = run(hostile.source, context, limits);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 30) << hostile.name;
    if (*hostile.error == '\0')
      EXPECT_TRUE(result.ok() || result.status().message().find("LimitError") == 0)
          << hostile.name << ": " << result.status().message();
    else
      EXPECT_TRUE(!result.ok() && result.status().message().find(hostile.error) != std::string::npos)
          << hostile.name << ": " << (result.ok() ? "rendered" : result.status().message());
  }
}

TEST(Hostile, ParsesDeepNestingToAnError) {
  const std::pair<const char*, const char*> kPairs[] = {{"{{ ", "("},
                                                        {"{{ ", "["},
                                                        {"{{ ", "{1:"},
                                                        {"{{ ", "-"},
                                                        {"{{ ", "not "},
                                                        {"{{ ", "a["},
                                                        {"{{ ", "f("},
                                                        {"{{ ", "1 if "},
                                                        {"{{ ", "1 if 1 else "},
                                                        {"{{ a", "|f("},
                                                        {"{{ a", " is b("},
                                                        {"{{ a", ".b"},
                                                        {"{{ 1", "+1"},
                                                        {"{{ 1", "*f(1+1"},
                                                        {"{{ 1", " ** 2"},
                                                        {"{{ a", "[1]"},
                                                        {"{{ a", "()"},
                                                        {"{{ a", "|upper"},
                                                        {"{{ 1", " and 1"},
                                                        {"", "{% if 1 %}"},
                                                        {"", "{% for a in b %}"},
                                                        {"", "{% macro m() %}"},
                                                        {"", "{% set a %}"},
                                                        {"", "{% filter upper %}"},
                                                        {"", "{% with %}"},
                                                        {"", "{% call m() %}"},
                                                        {"{% set ", "("},
                                                        {"{% for (", "("}};
  for (const auto& [begin, part] : kPairs) {
    int count = static_cast<int>((*part == '(' ? 1000000 : 50000) / std::string(part).size());
    auto result = ChatTemplate::parse(begin + repeat(part, count));
    ASSERT_FALSE(result.ok()) << begin << part;
    EXPECT_NE(result.status().message().find("TemplateSyntaxError: "), std::string::npos)
        << result.status().message();
    EXPECT_NE(result.status().message().find("line 1"), std::string::npos) << result.status().message();
  }
}

TEST(Hostile, LongButFlatTemplatesParse) {
  EXPECT_TRUE(run(repeat("{% if 0 %}{% elif 1 %}x{% endif %}", 5000), {}).ok());
  EXPECT_TRUE(run("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% endif %}", {}).ok());
  EXPECT_TRUE(run("{{ 1" + repeat(" ~ 1", 5000) + " }}", {}).ok());
  EXPECT_TRUE(run("{{ [" + repeat("1, ", 5000) + "]|length }}", {}).ok());
  EXPECT_TRUE(run("{{ 1" + repeat(" + 1", 300) + " }}", {}).ok());
}

// Enough of `part(0)`, `part(1)`... between `begin` and `end` to fill the largest template there may be.
std::string filled(const std::string& begin, const std::function<std::string(int)>& part,
                   const std::string& end) {
  constexpr std::size_t kBytes = 1 << 20;
  std::string out = begin;
  for (int i = 0;; ++i) {
    std::string next = part(i);
    if (out.size() + next.size() + end.size() > kBytes) return out + end;
    out += next;
  }
}
std::string filled(const std::string& begin, const std::string& part, const std::string& end) {
  return filled(
      begin, [&](int) { return part; }, end);
}

// A short name of its own for every number.
std::string name_of(int i) {
  std::string name(1, "abcdefghijklmnopqrstuvwxyz"[i % 26]);
  for (i /= 26; i > 0; i /= 36) name += "0123456789abcdefghijklmnopqrstuvwxyz"[i % 36];
  return name == "if" || name == "in" || name == "is" || name == "as" || name == "or" ? name + "_" : name;
}
std::string keyword(int i) {
  return name_of(i) + "=1,";
}
std::string target(int i) {
  return name_of(i) + ",";
}

std::vector<std::pair<const char*, std::string>> large_templates() {
  std::string parameters, keywords;
  for (int i = 0; i < 255; ++i) parameters += (i == 0 ? "" : ",") + name_of(i);
  for (int i = 0; i < 255; ++i) keywords += keyword(i);
  const std::string macro = "{% macro m(" + parameters + ") %}{% endmacro %}";
  return {
      {"keywords of a call", filled("{{ dict(", keyword, ") }}")},
      {"keywords of a filter", filled("{{ 1|default(", keyword, ") }}")},
      {"keywords of a test", filled("{{ 1 is string(", keyword, ") }}")},
      {"keywords of a method", filled("{{ 'x'.format(", keyword, ") }}")},
      {"keywords of a macro", filled(macro + "{{ m(", keyword, ") }}")},
      {"calls with many keywords", filled(macro, "{{ m(" + keywords + ") }}", "")},
      {"the same keyword", filled("{{ dict(", "a=1,", ") }}")},
      {"one repeated keyword", filled("{{ dict(", keyword, "a=1) }}")},
      {"arguments", filled(macro + "{{ m(", "1,", ") }}")},
      {"parameters of a caller", filled("{% call(", target, ") m() %}{% endcall %}")},
      {"targets of with",
       filled(
           "{% with ", [](int i) { return (i == 0 ? "" : ",") + name_of(i) + "=1"; }, " %}{% endwith %}")},
      {"targets of for", filled("{% for ", target, " in [] %}{% endfor %}")},
      {"targets of set", filled("{% set ", target, " = [] %}")},
      {"a dict", filled(
                     "{{ {", [](int i) { return "'" + name_of(i) + "':1,"; }, "} }}")},
      {"a list", filled("{{ [", "1,", "] }}")},
      {"an index", filled("{{ a[", "1,", "] }}")},
      {"names", filled("{{ [", target, "] }}")},
      {"variables", filled(
                        "", [](int i) { return "{%set " + name_of(i) + "=1%}"; }, "")},
      {"members of a namespace", filled(
                                     "", [](int i) { return "{%set n." + name_of(i) + "=1%}"; }, "")},
      {"macros", filled(
                     "", [](int i) { return "{%macro " + name_of(i) + "(a)%}{%endmacro%}"; }, "")},
      {"blocks", filled(
                     "", [](int i) { return "{%block " + name_of(i) + "%}{%endblock%}"; }, "")},
      {"loops", filled("", "{%for a in b%}{%endfor%}", "")},
      {"loops over content",
       filled("{% for m in messages %}", "{%for a in m.content|a|a|a%}{%endfor%}", "{% endfor %}")},
      {"macros within macros",
       filled(repeat("{%macro m()%}", 190), "{{caller}}", repeat("{%endmacro%}", 190))},
      {"prints", filled("", "{{1}}", "")},
      {"branches", filled("{%if 1%}", "{%elif 1%}", "{%endif%}")},
      {"unknown filters", filled("", "{{1|q}}", "")},
      {"guarded unknown filters", filled("", "{{1|q if 1}}", "")},
      {"a dotted name", filled("{{ 1|q", ".q", " }}")},
      {"comparisons", filled("{{ 1", "<1", " }}")},
      {"joined texts", filled("{{ 1", "~1", " }}")},
      {"adjacent strings", filled("{{ ", "''", " }}")},
      {"escapes", filled("{{ '", "\\x41", "' }}")},
      {"an endless string", filled("{{ '", "\\'", "")},
      {"one number", filled("{{ ", "1", " }}")},
      {"one real number", filled("{{ 0.", "1", "e5 }}")},
      {"zeros", filled("{{ ", "0_", "0 }}")},
      {"comments", filled("", "{##}", "")},
      {"raw text", filled("", "{%raw%}{%endraw%}", "")},
      {"tags in raw text", filled("{%raw%}", "{% ", "{%endraw%}")},
      {"endless raw text", filled("{%raw%}", "{%", "")},
      {"braces", filled("", "{", "")},
      {"blanks", filled("{{ 1", "\u2003", " }}")},
      {"indented tags", filled("", "\n  {%-if 1%} \n{%endif%}", "")},
  };
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// No step is counted while a template is parsed, so that its size alone bounds the time: quadratic searches
// took many seconds.
TEST(Hostile, TheLargestTemplatesParseInLittleTime) {
  constexpr double kSecondsMax = 1.5 * testing::kSlowdown;
  for (const auto& [name, source] : large_templates()) {
    EXPECT_GT(source.size(), 1'000'000U) << name;
    const double start = thread_seconds();
    (void)ChatTemplate::parse(source);
    const double seconds = thread_seconds() - start;
    EXPECT_LT(seconds, kSecondsMax) << name;
    RecordProperty(name, std::to_string(seconds));
  }
}

TEST(Hostile, ParsingEndsWhenNobodyWantsItAnyMore) {
  CancelToken unwanted;
  CancelScope scope(&unwanted);
  EXPECT_TRUE(ChatTemplate::parse("{{ 1 }}").ok());
  unwanted.cancel();
  for (const char* source : {"{{ 1 }}", "a", "{{ ' "})
    EXPECT_TRUE(ChatTemplate::parse(source).status().message().starts_with("CancelledError")) << source;
}

TEST(Hostile, ManyKeywordsAreTaken) {
  std::string source = "{{ dict(";
  for (int i = 0; i < 5000; ++i) source += keyword(i);
  EXPECT_EQ(run(source + ")|length }}", {}).value(), "5000");
  const Result<std::string> repeated = run(source + " z9=2)|length }}", {});
  EXPECT_TRUE(!repeated.ok() &&
              repeated.status().message().find("keyword argument repeated: z9") != std::string::npos);
}

TEST(Hostile, OwnLimitsHold) {
  TemplateLimits limits;
  limits.output_bytes_max = 100;
  EXPECT_FALSE(run("{% for i in range(101) %}x{% endfor %}", {}, limits).ok());
  EXPECT_TRUE(run("{% for i in range(100) %}x{% endfor %}", {}, limits).ok());
  limits.steps_max = 50;
  EXPECT_FALSE(
      run("{% for i in range(30) %}{% endfor %}{% for i in range(30) %}{% endfor %}", {}, limits).ok());
  limits.steps_max = 1000000;
  limits.depth_max = 5;
  EXPECT_FALSE(
      run("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(6) }}", {}, limits).ok());
}

TEST(Hostile, SyntaxErrorsNameTheLine) {
  const std::pair<const char*, int> kCases[] = {
      {"a\nb\n{% if %}", 3},           {"\n\n{{ 'x }}", 3},         {"{#\n\n#}\n{{ ) }}", 4},
      {"{{ a }}\n{% nope %}", 2},      {"x\n{% include 'a' %}", 2}, {"x\n{% extends 'a' %}", 2},
      {"x\n{% import 'a' as b %}", 2}, {"{% for a in b %}\n\n", 2},
  };
  for (const auto& [source, line] : kCases) {
    auto result = ChatTemplate::parse(source);
    ASSERT_FALSE(result.ok()) << source;
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    std::string where = "line " + std::to_string(line) + ")";
    EXPECT_NE(result.status().message().find(where), std::string::npos)
        << source << ": " << result.status().message();
  }
  auto late = run("a\n\n{{ 1 + 'x' }}", {});
  EXPECT_NE(late.status().message().find("line 3"), std::string::npos) << late.status().message();
}

// Cut anywhere, and with a byte changed anywhere, a real template parses or does not, renders or does not.
TEST(Hostile, BrokenRealTemplatesDoNotCrash) {
  PAGODA_TEST_DATA_OR_SKIP(dir, "chat_templates");
  Result<Value> context = parse_json(
      R"({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}],
          "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "string"}}}}}],
          "add_generation_prompt": true})");
  ASSERT_TRUE(context.ok());
  TemplateLimits limits;
  limits.steps_max = 200000;
  int parsed = 0, rendered = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".jinja") continue;
    std::string source = *read_file(entry.path().string());
    for (std::size_t cut = 0; cut < source.size(); cut += 53) {
      std::vector<std::string> variants{source.substr(0, cut)};
      if (cut % 10 == 0) {
        variants.push_back(source.substr(cut));
        variants.push_back(source.substr(0, cut) + "%}" + source.substr(cut + 1));
      }
      for (const std::string& broken : variants) {
        auto chat_template = ChatTemplate::parse(broken, limits);
        if (!chat_template.ok()) continue;
        ++parsed;
        rendered += (*chat_template)->render(context->as_object(), {}).ok();
      }
    }
  }
  EXPECT_GT(parsed, 100);
  EXPECT_GT(rendered, 10);
}

}  // namespace
}  // namespace pagoda
