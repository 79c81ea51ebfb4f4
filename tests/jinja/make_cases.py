#!/usr/bin/env python3
"""Writes cases.json: what Jinja2 itself, in the environment of transformers' chat templates, makes of small templates.

    python3 -m venv venv && venv/bin/pip install jinja2==3.1.6 && venv/bin/python make_cases.py

Each case is [template, context, expected] or [template, context, null, "ErrorKind: message"].
"""
import datetime
import json
import pathlib
import re

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(format):
    return datetime.datetime(2024, 7, 26).strftime(format)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = tojson
environment.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)

CONTEXT = {
    "s": "Hello, World", "e": "", "u": "naïve 日本語 🙂 ß", "i": 7, "f": 2.5, "t": True, "n": None,
    "l": [3, 1, 2], "ls": ["b", "A", "c"], "d": {"b": 1, "a": 2, "C": 3},
    "people": [{"name": "Ann", "age": 30, "tags": ["x", "y"]}, {"name": "bob", "age": 5, "tags": []},
               {"name": "Cid", "age": 30}],
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <there> & \"you\""},
                 {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.0}}}]}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": [{"v": 3}]}, {"v": 4}]}, {"v": 5}],
    "text": "  one two\n\nthree\tfour  \n", "items_key": {"items": [1, 2], "keys": "k"},
}

EXPRESSIONS = """
1 + 2|1 - 2 * 3|7 // 2|-7 // 2|7 // -2|-7 % 3|7 % -3|7 / 2|6 / 2|2 ** 10|2 ** -1|-2 ** 2|2 ** 3 ** 2|7.5 // 2|-7.5 % 2|1e3|1.5e-7|1e16|123456789012345678|0.1 + 0.2|1_000|0x1F|0b101|0o17|1 / 0|1 // 0|1 % 0|1.0 / 0|3 == 3.0|true + 1|true == 1|i * 2.0
"a" ~ 1 ~ none ~ true ~ 1.0|1 + 2 ~ 3|"a" "b" 'c'|"a" + 1|1 + "a"|"a" * 3|3 * "ab"|"a" * -1|[1] * 2|[1] + [2]|(1,) + (2,)|[1] + (2,)|"a" - "b"|none + 1|-"a"|-true|+f|not e|not not s
1 < 2 < 3|1 < 3 < 2|"a" < "b"|"a" < 1|[1, 2] < [1, 3]|[1] < "a"|1 in l|"x" in s|"World" in s|9 not in l|"a" in d|1 in s|1 in 5|(1, 2) == [1, 2]|{"a": 1} == {"a": 1.0}|none == false|undefined_a == undefined_b|none is none|1 != 2|2 >= 2 > 1
s[0]|s[-1]|s[99]|s[1:4]|s[::-1]|s[::2]|s[5:1:-2]|s[:-3]|u[2]|u[::-1]|u[7:9]|l[0]|l[-1]|l[5]|l[1:]|l[::-1]|l["a"]|d["a"]|d.a|d.zz|d["zz"]|d[0]|d[1:2]|s[1:2:0]|n.x|n["x"]|n[0]|undefined_a.x|undefined_a[0]|undefined_a()|s()|s.foo|s.foo()|(1, 2)[1]|range(5)[2]|range(5)[::-1]|range(10)[2:8:3]|items_key.items|items_key["items"]|items_key.keys()|l.0|people.0.name|d["a", "b"]
[1, "a", none, true, 1.5, [2], {"k": "v"}]|(1,)|()|(1, 2)|{}|{"a": {"b": [1, 2]}}|{1: 2, none: 3, (1, 2): 4}|["it's", 'say "x"', "both ' and \\"", "tab\\t\\n\\\\ é \\x07"]|u|[u]|d|range(3)|range(0, 6, 2)|d.items()|d.keys()|d.values()|[1.0, 1e20, 1e-5, -0.0]|{[1]: 2}|{"a": 1, "a": 2}
"yes" if t else "no"|"yes" if e|("yes" if e) is defined|("yes" if e).x|1 if 0 else 2 if 0 else 3|t and s|e or "x"|n and n.x|e and 1|"" or none
undefined_a|undefined_a is defined|undefined_a|length|undefined_a|list|undefined_a|upper|undefined_a ~ "x"|undefined_a + 1|1 + undefined_a|"a" + undefined_a|undefined_a == 1|undefined_a < 1|undefined_a in l|1 in undefined_a|undefined_a|int|undefined_a|default("z")|undefined_a.x|default("z")|[undefined_a]|undefined_a|tojson|-undefined_a|undefined_a|join(",")|undefined_a|first|undefined_a|last|undefined_a|sort|undefined_a|trim|undefined_a is iterable|undefined_a is sequence|undefined_a is callable|undefined_a is string|d.zz.yy|"%s" % undefined_a|undefined_a|reverse|list|undefined_a|map("upper")|list
"\\x41\\u00e9\\U0001F600\\101\\q\\n"|'a\\
b'|"\\"q\\""|"tab\\there"
s is string|i is number|f is float|i is integer|t is integer|t is boolean|t is number|l is sequence|l is iterable|d is mapping|d is sequence|s is sequence|s is iterable|i is iterable|n is none|n is not none|i is odd|i is even|i is divisibleby 7|i is divisibleby(2)|s is in [s]|i is eq 7|i is ne(7)|i is gt 3|i is lessthan 3|i is ge 7|s is lower|"abc" is lower|"ABC" is upper|t is true|t is false|1 is true|range is callable|s is callable|s is sameas s|d.items() is sequence|d.items() is iterable|range(3) is sequence|l|map("upper") is iterable|l|map("upper") is sequence|"upper" is filter|"nope" is filter|"odd" is test|i is not odd|not i is odd|i is odd and f is float|s is escaped|s|safe is escaped|"a" is odd|d.a is defined and d.a is number|"x" is undefined|l is eq [3, 1, 2]|n is mapping
"""

FILTERS = """
s|upper|s|lower|"hello world"|title|"hello-world (foo) [BAR]"|title|"they're bill's"|title|"hELLO"|capitalize|"ß"|upper|u|upper|"ΑΣ ΑΣΑ"|lower|text|trim|"xxaxx"|trim("x")|"  a "|trim|s|length|u|length|l|length|d|length|i|length|text|wordcount|s|replace("l", "L")|s|replace("l", "L", 1)|"aaa"|replace("", "-")|s|replace("World", 5)|s|center(20)|"abc"|center(6)|"abc"|center(10) ~ "|"|i|string ~ "x"|s|list|l|list|d|list|"12"|int|"12.7"|int|"x"|int|"x"|int(5)|"0x1f"|int(0, 16)|"1f"|int(base=16)|" 12 "|int|"1_000"|int|3.99|int|-3.99|int|none|int|true|int|l|int|"1e3"|int|"1.5"|float|"x"|float|"x"|float(1)|"inf"|float|none|float|"-5"|int|abs
-5|abs|-5.5|abs|"a"|abs|2.5|round|3.5|round|2.675|round(2)|1234.567|round(-2)|7|round|7|round(-1)|15|round(-1)|2.1|round(method="ceil")|2.9|round(0, "floor")|42.55|round(1)|1.005|round(2)|0.5|round|"x"|round|2.5|round(1, "x")
l|first|l|last|s|first|s|last|[]|first|[]|last|d|first|d|last|5|first|l|sort|l|sort(reverse=true)|ls|sort|ls|sort(case_sensitive=true)|[3, "a"]|sort|people|sort(attribute="age")|map(attribute="name")|join(",")|people|sort(attribute="age,name", reverse=true)|map(attribute="name")|join(",")|l|reverse|list|s|reverse|l|min|l|max|[]|min|ls|min|ls|max|people|max(attribute="age")|l|sum|[]|sum|people|sum(attribute="age")|[1.5, 2]|sum|["a"]|sum|[[1], [2]]|sum(start=[])|[1, 1.0, "a", "A", 2]|unique|list|["a", "A"]|unique(true)|list|people|unique(attribute="age")|map(attribute="name")|list
l|join|l|join(",")|ls|join("-")|people|join(", ", attribute="name")|[1, none, undefined_a, "x"]|join("|")|s|join(".")|5|join|d|join|l|map("string")|list|ls|map("upper")|join|ls|map("replace", "b", "B")|list|people|map(attribute="name")|list|people|map(attribute="tags")|list|people|map(attribute="tags", default=[])|list|people|map(attribute="tags.0", default="-")|list|people|map(attribute="zz")|list|people|map(attribute="zz.yy")|list|l|map|list|l|map("nope")|list|l|map(5)|list|5|map("upper")|list|people|map("length")|list
l|select("odd")|list|l|reject("odd")|list|l|select("gt", 1)|list|[0, 1, "", "a", none]|select|list|[0, 1, "", "a", none]|reject|list|people|selectattr("tags")|map(attribute="name")|list|people|selectattr("age", "eq", 30)|map(attribute="name")|list|people|rejectattr("age", "equalto", 30)|map(attribute="name")|list|people|selectattr("tags", "defined")|list|length|people|selectattr("age", "lt", 10)|first|people|selectattr("zz.y")|list|people|selectattr|list|l|select("nope")|list|people|rejectattr("tags", "undefined")|list|length
d|dictsort|d|dictsort(true)|d|dictsort(by="value")|d|dictsort(reverse=true)|d|dictsort(by="x")|l|dictsort|d|items|list|l|items|list|undefined_a|items|list|{"a": 1, 2: 3}|dictsort|people|groupby("age")|people|groupby("age")|map(attribute="grouper")|list|people|groupby("age")|map(attribute="list")|map("length")|list|people|groupby("tags", default="none")|length
[1, 2, 3, 4, 5]|batch(2)|list|[1, 2, 3, 4, 5]|batch(2, "x")|list|[1, 2, 3, 4, 5, 6, 7]|slice(3)|list|[1, 2, 3, 4, 5, 6, 7]|slice(3, 0)|list|[]|batch(2)|list|[1]|slice(3)|list|[1]|batch(0)|list
d|tojson|d|tojson(indent=2)|messages|tojson|messages|tojson(indent=4)|u|tojson|u|tojson(ensure_ascii=true)|[1, 1.0, none, true, "a\\n\\"\\\\/"]|tojson|(1, 2)|tojson|{}|tojson(indent=2)|[]|tojson(indent=2)|[[], {}]|tojson(indent=1)|d|tojson(sort_keys=true)|d|tojson(separators=(",", ":"))|d|tojson(indent=2, separators=(";", "="))|l|map("string")|tojson|l|map("string")|list|tojson|range(3)|tojson|d.items()|tojson|d.items()|list|tojson|{1: 2, none: 3, true: 4, 1.5: 5}|tojson|{(1, 2): 3}|tojson|undefined_a|tojson|s|safe|tojson|d|tojson(indent="--")|"<b>&'"|tojson|1e400|tojson|d|tojson(2)|"\\u2028\\x7f"|tojson|d|tojson(nope=1)|l|tojson(indent=0)
n|default("x")|e|default("x")|e|default("x", true)|undefined_a|default|undefined_a|d("y")|0|default(5, boolean=true)|s|e|"<b>"|e|"<b>"|escape|e|"<b>"|safe|e|"<b>"|forceescape|("<b>"|safe) + "<i>"|"<i>" + ("<b>"|safe)|("<b>"|safe) ~ "<i>"|["<b>"|safe]|("%s"|safe) % "<"|("{}"|safe).format("<")|("a"|safe) * 2
"%s is %d" % ("x", 5)|"%05.2f|%-5s|%5s|%+d" % (3.14159, "ab", "cd", 5)|"%x %X %o %#x" % (255, 255, 8, 255)|"%(a)s" % d|"%(zz)s" % d|"%%" % ()|"%s" % none|"%s %s" % "x"|"%s" % ("a", "b")|"%d" % "x"|"%d" % 3.9|"%r" % "x"|"%c%c" % (65, "B")|"%e %g %g %g" % (12345.678, 0.0001, 1e10, 100000.0)|"%s" % l|"%s" % ((1, 2),)|"%5.1f%%" % 99.55|"%*d" % (5, 3)|"%.3s" % "abcdef"|"%q" % 1|"abc" % 5|"abc" % l|"%s %s"|format("a", 1)|"%(x)s"|format(x=5)|"%i" % true
"{} {}".format(1, "a")|"{0} {1} {0}".format(1, 2)|"{a} {b}".format(a=1, b=2)|"{:>5}|{:<5}|{:^5}|{:*^7}".format("a", "b", "c", "d")|"{:05d} {:+d} {:,} {:_}".format(42, 7, 1234567, 7654321)|"{:.2f} {:e} {:g} {:%}".format(3.14159, 12345.678, 0.00001, 0.25)|"{:x} {:X} {:b} {:o} {:#x}".format(255, 255, 5, 8, 255)|"{!r} {!s}".format("a", "a")|"{0.a} {0[b]}".format(d)|"{0[1]}".format(l)|"{{}}".format()|"{}".format()|"{x}".format()|"{".format()|"}".format()|"{:d}".format("a")|"{:>{w}}".format("a", w=4)|"{:.3}".format("abcdef")|"{:.3}".format(3.14159)|"{:10.3f}|".format(2.0)|"{} {0}".format(1)|"{:,.2f}".format(1234567.891)|"{}".format(none)|"{:5}".format(none)|"{:5}|{:5}".format(1, "a")|"{}".format(l)|"{0.__class__}".format(1)|"{:.0f} {:.1f}".format(2.5, 0.25)|"{:.3}".format(1234567.0)|"{:g} {:G}".format(1e20, 1e-10)|"{:05}".format(-3.5)|"{:=+8}".format(12)|"{:c}".format(65)|"{:s}".format(5)|"{:.1}".format(5)
"a b  c".split()|" a b ".split(" ")|"a,b,c".split(",", 1)|"a,b,c".rsplit(",", 1)|"a  b  c".split(none, 1)|"a  b  c".rsplit(none, 1)|"abc".split("")|"".split()|"".split(",")|"</think>x</think>y".split("</think>")[-1]|"a\\nb\\r\\nc".splitlines()|"a\\nb\\n".splitlines(true)|"  x ".strip() ~ "|"|"xyx".strip("x")|"xxa".lstrip("x")|"axx".rstrip("x")|"\\n a \\t".strip()|"abc".startswith("ab")|"abc".startswith(("x", "a"))|"abc".endswith("c")|"abc".endswith(["c"])|"abc".startswith("b", 1)|"abc".find("c")|"abc".find("z")|"abc".index("z")|"abcabc".rfind("c")|u.find("語")|"abcabc".count("bc")|"aaa".count("")|"abc".replace("b", "")|"aaa".replace("a", "b", 2)|"a".join(["x", "y"])|",".join([1])|"a-b-c".partition("-")|"a-b-c".rpartition("-")|"abc".partition("-")|"abc".removeprefix("a")|"abc".removesuffix("c")|"abc".upper()|"aBc".swapcase()|"abc".title()|"they're".title()|"ab".center(7, "*")|"ab".center(5, "*")|"abc".center(6, "*")|"ab".ljust(4, ".")|"ab".rjust(4)|"7".zfill(3)|"-7".zfill(4)|"a\\tb".expandtabs(4)|"12".isdigit()|"1a".isalnum()|"ab".isalpha()|" ".isspace()|"Ab Cd".istitle()|"a_1".isidentifier()|"".isalpha()|"x".isnumeric()|"AB1".isupper()|"{a}".format_map(d)|"x".nope()
d.get("a")|d.get("zz")|d.get("zz", 5)|d.items()|list|d.keys()|list|d.values()|list|d.copy()|d.pop("a")|d.update({})|d.setdefault("a")|l.append(1)|l.index(1)|l.index(9)|l.count(1)|l.copy()|l.pop()|l.sort()|(1, 2).index(2)|d.get()|d.keys()[0]|d|length|"".__class__|"".__class__.__mro__|l.__len__()|l["append"]|i.bit_length()|f.is_integer()|d.clear|l.insert(0, 1)|people[0].get("age")|people[0]["name"].upper()
dict(a=1, b=2)|dict([("a", 1)])|dict({"a": 1}, b=2)|dict(1)|range(3)|list|range(1, 10, 3)|list|range(5, 0, -2)|list|range(0)|list|range(1000000)|range(1.5)|range(1, 2, 0)|namespace(a=1).a|namespace({"x": 2}).x|namespace().zz|cycler("a", "b").next()|cycler()|joiner()|strftime_now("%Y-%m-%d %H:%M:%S %j %b %B %a %%")|strftime_now("%-d %e %y")|raise_exception("boom")|raise_exception("a " ~ 5)|nope(1)|range()
"one two three four"|truncate(10)|"one two three four"|truncate(10, true)|"short"|truncate(5)|"one two three four"|truncate(12, false, "!", 0)|"a\\nb\\n\\nc"|indent|"a\\nb\\n\\nc"|indent(2, true)|"a\\nb\\n\\nc"|indent(2, blank=true)|"a\\nb"|indent("> ")|"a\\nb\\n"|indent(2)|5|indent|"aaa bbb ccc"|wordwrap(7)|"aaaaaaaaaa"|wordwrap(4)|"a b"|urlencode|"é/?&="|urlencode|{"a b": 1, "c": "&"}|urlencode|"<p>a  <b>b</b></p> &amp; c"|striptags|1000|filesizeformat|1500000|filesizeformat|2048|filesizeformat(true)|1|filesizeformat|{"a": 1, "b": none, "c": "<"}|xmlattr|s|nope|d|attr("items")|d|attr("a")|s|attr("upper")
"""

TEMPLATES = [
    # White space control.
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}\n  b\n  {% endif %}\nc\n\n", "a {% if t %} b {% endif %} c",
    "a\n  {%- if t -%}  \n b \n {%- endif -%} \n c", "  {%+ if t %} x {%+ endif +%}\n y", "{{ 1 }}\n{{ 2 }}\n", "{{ 1 -}} \n {{- 2 }}",
    "a\n   {# comment #}\nb", "a {#- c -#} b", "a {# c #}\nb", "a{#\nmulti\nline\n#}b", "x\n\t{% set a = 1 %}\t\ny", "x {% set a = 1 %}\ny",
    "{% raw %}{{ x }}{% if %}{% endraw %}!", "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb", "{%- raw -%}  {{ x }}  {%- endraw -%}  b", "{% raw %}unclosed",
    "a\r\n{% if t %}\r\nb\r{% endif %}c\r\n", "\n\n{% if t %}\n\nx\n\n{% endif %}\n\n", "{{ '{{' }}{{ '}}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a':{}} }}", "{ { % } } #}", "{{ 1 }}{# {{ 2 }} #}{{ 3 }}",
    "{% if t -%}\n   x\n{%- else +%}\n y{% endif %}", "   {{ 1 }}   \n", "{% if t %}a{% endif %}\n\n{% if t %}b{% endif %}\n", "a\xa0\u3000{%- if t %}b{% endif %}", "{% if t +%}\nx{% endif %}", "{{ 'a' }}\n", "{{ 'a' }}\n\n", "", "\n", "{%if t%}x{%endif%}", "{{s}}{{-s-}}{{s}}",
    # if, for.
    "{% if e %}1{% elif n %}2{% elif t %}3{% else %}4{% endif %}", "{% if undefined_a %}1{% else %}2{% endif %}", "{% if not e and (t or n) %}1{% endif %}",
    "{% for x in l %}{{ x }}{{ ',' if not loop.last }}{% endfor %}", "{% for x in [] %}x{% else %}none{% endfor %}", "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in l %}{% endfor %}", "{% for a, b in [(1,)] %}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}", "{% for x in l if x > 9 %}a{% else %}b{% endfor %}", "{% for x in s %}{{ x }}.{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in undefined_a %}a{% else %}b{% endfor %}", "{% for x in none %}{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}", "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in [1] %}{{ outer.index }}{% endfor %}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% break %}{% else %}else{% endfor %}", "{% for x in l %}{% continue %}{% else %}else{% endfor %}", "{% for x in l %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% for n in tree recursive %}{{ n.v }}@{{ loop.depth }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}", "{% for n in tree recursive %}{{ loop.depth0 }}{{ n.v }}[{{ loop(n.c|default([])) }}]{% else %}-{% endfor %}", "{% for x in l %}{{ loop(l) }}{% endfor %}",
    "{% for x in l|map('string') %}{{ x }}{{ loop.last }}{% endfor %}", "{% for x in l|select('odd') %}{{ loop.length }}{{ x }}{% endfor %}", "{% set g = l|map('string') %}{{ g|join }}/{{ g|join }}", "{% set g = l|map('string') %}{{ g|length }}", "{% set g = l|map('string') %}{{ g[0] }}", "{% set g = l|map('string') %}{% if g %}y{% endif %}",
    "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{% set ns.stop = true %}{% endfor %}", "{% set ns = namespace(stop=false) %}{% for x in l if not ns.stop %}{{ x }}{{ loop.last }}{% set ns.stop = true %}{% endfor %}",
    "{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}", "{% for x in d|dictsort %}{{ x[0] }}{{ x[1] }}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for x in l %}{% set loop = 1 %}{% endfor %}",
    # Scopes.
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}", "{% for i in l %}{{ x }}{% set x = i %}{% endfor %}", "{% set x = 0 %}{% for i in l %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}", "{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
    "{% set d.x = 1 %}", "{% set zz.x = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ a }}", "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% set s = s ~ '!' %}{{ s }}",
    "{% set x %}a{{ i }}b{% endset %}{{ x }}|{{ x|length }}", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | replace('a', 'b') | upper %}abc{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set a = 5 %}{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with a = 1 %}{% set a = 2 %}{{ a }}{% endwith %}{{ a }}",
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}abc{% endfilter %}", "{% filter trim %}  {% set z = 1 %}x {% endfilter %}{{ z }}", "{% for x in l %}{% filter upper %}a{% break %}b{% endfilter %}{% endfor %}!",
    "{% generation %}x{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "{% block a %}x{{ s }}{% endblock %}", "{% block a %}x{% endblock a %}y",
    # Macros.
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=1, a=2) }} {{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}", "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(4) }}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}!", "{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{{ a() }}{% macro a() %}{% endmacro %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro m(c) %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{% endmacro %}{{ m(1) }}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{{ s }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a + b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m(x) %}{% if caller %}{{ caller() }}{% endif %}{{ x }}{% endmacro %}{{ m(1) }}{% call m(2) %}c{% endcall %}", "{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}", "{% call 5 %}{% endcall %}",
    "{% macro m(a) -%}\n  {{ a }}\n{%- endmacro %}\n[{{ m(1) }}]", "{{ m(*[1, 2]) }}{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(1, **{'b': 4}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1)|upper }}{{ m(1) ~ m(2) }}{{ m(m(3)) }}", "{% macro m(a) %}{% for x in a %}{{ x }}{% endfor %}{% endmacro %}{{ m(l) }}", "{% macro m(caller=1) %}{{ caller }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{% set a = a ~ '!' %}{{ a }}{% endmacro %}{{ m('x') }}", "{% set ns = namespace() %}{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m is callable }}",
    # Others.
    "{{ namespace(a=1, b='x') }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% print 1 + 1 %}", "{{ 1, 2 }}", "{{ (1) }}", "{{ [1, 2,] }}{{ {'a': 1,} }}{{ (1,) }}{{ f(1,) if 0 }}",
    "{% if x is defined and x %}1{% endif %}", "{{ x|default('d')|upper }}", "{{ s.split(',')[0].strip()|upper }}", "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|first }}", "{{ messages[0]['content'] if messages[0].role == 'system' else '' }}", "{{ messages[-1].tool_calls[0].function.arguments|tojson }}", "{{ messages[1:]|length }}", "{{ messages|map(attribute='role')|list }}", "{% if 'zz' | nope is defined %}{% endif %}", "{% if false %}{{ 1|nope }}{% endif %}ok", "{% if true %}{{ 1|nope }}{% endif %}", "{{ 1|nope if false else 2 }}", "{{ 1|nope }}", "{{ 1 is nope }}", "{% if false %}{{ 1 is nope }}{% endif %}ok",
    # Syntax errors.
    "{{ 1", "{{ }}", "{% if %}", "{% if 1 %}", "{% endif %}", "{% for x %}{% endfor %}", "{% for x in %}{% endfor %}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1) }}", "{{ 'abc }}", "{{ a b }}", "{{ a. }}", "{{ ! }}", "{{ $ }}", "{# never", "{% nope %}", "{% %}", "{% for x in l %}{% endif %}", "{% macro %}{% endmacro %}", "{{ f(a=1, 2) }}", "{{ f(**a, **b) }}", "{{ f(a=1, a=2) }}", "{{ 1 is 2 }}", "{{ a is b is c }}", "{% set x %}", "{% block %}{% endblock %}", "{{ 'a' if }}", "{{ {1} }}", "{{ {1: } }}", "{% break %}", "{% else %}", "{{ not }}", "{{ a[ }}", "{{ a[] }}", "{% do 1 %}", "{{ 1 }} {{", "{%", "{% if t %}{{ 1 }}", "{{ 012 }}", "{{ 1.2.3 }}", "{{ 1if t else 2 }}", "{{ a.1 }}", "{{ a.'b' }}", "{{ *a }}", "{{ a := 1 }}", "{% set a += 1 %}", "{{ '\\x4' }}", "{% if a = 1 %}{% endif %}", "{% elif 1 %}", "{% if 1 %}{% else %}{% else %}{% endif %}",
]


def evaluate(template):
    try:
        return [template, environment.from_string(template).render(**CONTEXT)]
    except jinja2.exceptions.TemplateSyntaxError as error:
        return [template, None, f"TemplateSyntaxError: {error.message}"]
    except SyntaxError as error:
        return [template, None, f"TemplateSyntaxError: {error}"]
    except Exception as error:
        return [template, None, f"{type(error).__name__}: {error}"]


def expressions():
    """Every prefix of a line between bars: a bar is a filter or the border to the next case, and both readings count."""
    for table in (EXPRESSIONS, FILTERS):
        for line in table.strip().replace("\\\n", "\x00").split("\n"):
            parts = line.replace("\x00", "\\\n").split("|")
            for begin in range(len(parts)):
                for end in range(begin + 1, min(begin + 5, len(parts)) + 1):
                    yield "|".join(parts[begin:end])


def main():
    cases, seen = [], set()
    for expression in expressions():
        template = "{{ " + expression.strip() + " }}"
        if template in seen:
            continue
        seen.add(template)
        case = evaluate(template)
        # Of the accidental combinations only those that mean something are worth keeping.
        if case[1] is None and ("Syntax" in case[2] or "No filter" in case[2]) and expression.strip() not in ("s|nope",):
            continue
        # A filter's name without its value is no case either.
        name = re.match(r"\w+", expression.strip())
        if name and name.group() in environment.filters and name.group() not in CONTEXT:
            continue
        cases.append(case)
    for template in TEMPLATES:
        cases.append(evaluate(template))
    cases = [case for case in cases if not any(" at 0x" in str(part) for part in case[1:])]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text('{"context": ' + json.dumps(CONTEXT, ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n")
    print(len(cases), "cases")


main()
