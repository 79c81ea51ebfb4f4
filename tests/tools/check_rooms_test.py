"""What tools/check_rooms finds in small trees, a case each: (name, files, what the one fault says; None: no fault)."""
import importlib.machinery
import importlib.util
import pathlib
import re
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check_rooms"
loader = importlib.machinery.SourceFileLoader("check_rooms", str(TOOL))
check_rooms = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_rooms", loader))
loader.exec_module(check_rooms)

TABLE = r"""
# base, an engine above it, a server above both
room base:   | *
room engine: base | engine.h
room server: base engine |
fence \bgetenv\( only-in base/env
"""
MAP = "## The map\n| room | for |\n|---|---|\n| `base` | a |\n| `engine` | b |\n| `server` | c |\n## Else\n| `x` | d |\n"
TREE = {
    "ARCHITECTURE.md": MAP,
    "src/base/status.h": "#pragma once\n",
    "src/engine/engine.h": '#include "base/status.h"\n#include "engine/inbox.h"\n',
    "src/engine/inbox.h": "#pragma once\n",
    "src/server/route.cc": '#include "base/status.h"\n#include "engine/engine.h"\n',
}
TYPE = "namespace pagoda {\nclass Stream {\n};\n}  // namespace pagoda\n"

CASES = [
    ("nothing wrong", {}, None),
    ("a room that may not be included", {"src/base/status.cc": '#include "engine/engine.h"\n'},
     r"src/base/status.cc:1: room 'base' may not include 'engine': .* add 'engine' to `room base:` in tools/rooms.txt"),
    ("an internal header", {"src/server/x.cc": '#include "engine/inbox.h"\n'},
     r"src/server/x.cc:1: engine/inbox.h is internal to room 'engine': use its public headers \(engine.h\), or add inbox.h"),
    ("a header of all public ones", {"src/base/log.h": "", "src/server/x.cc": '#include "base/log.h"\n'}, None),
    ("a header of the room itself", {"src/engine/loop.cc": '#include "engine/inbox.h"\n'}, None),
    ("a path without a room", {"src/base/x.cc": '#include "status.h"\n'}, r'src/base/x.cc:1: include "status.h" from src/'),
    ("a room that is not declared", {"src/news/x.cc": ""}, r"src/news/x.cc: 'news' is no room: declare it"),
    ("an unused permission", {"src/server/route.cc": '#include "engine/engine.h"\n'},
     r"tools/rooms.txt:5: room 'server' includes nothing of 'base': remove it after the `:`"),
    ("an unused public header", {"src/server/route.cc": '#include "base/status.h"\n', "tools/rooms.txt": TABLE.replace("base engine |", "base |")},
     r"tools/rooms.txt:4: no other room includes engine/engine.h: remove it behind the `\|`"),
    ("a public header that is not there", {"tools/rooms.txt": TABLE.replace("| engine.h", "| engine.h gone.h")},
     r"tools/rooms.txt:4: there is no engine/gone.h"),
    ("a type in two rooms", {"src/base/stream.h": TYPE, "src/engine/stream.h": TYPE},
     r"src/engine/stream.h:2: pagoda::Stream is defined at .*src/base/stream.h:2, too: rename one"),
    ("a type in two sources", {"src/base/a.cc": TYPE, "src/base/b.cc": "// {\n" + TYPE.replace("class", "enum class")},
     r"src/base/b.cc:3: pagoda::Stream is defined"),
    ("a type behind comments, strings, characters and macros",
     {"src/base/a.cc": "#define OPEN \\\n  {\n" + 'auto x = R"(")" "{" /* { */; int y = 1\'000 + \'{\' + \'\\\'\'; // {\n' + TYPE,
      "src/base/b.cc": TYPE}, r"pagoda::Stream is defined"),
    ("a nested type, defined outside", {"src/base/a.cc": "namespace pagoda {\nstruct Engine::Impl final : Base<int> {};\n}\n",
                                        "src/base/b.cc": "namespace pagoda {\nstruct Engine::Impl {};\n}\n"},
     r"pagoda::Engine::Impl is defined"),
    ("templates and attributes", {"src/base/a.h": "namespace pagoda {\ntemplate <class Fn>\nclass Registry {};\n}\n",
                                  "src/base/b.h": "namespace pagoda {\nstruct alignas(64) Registry : A, B {};\n}\n"},
     r"pagoda::Registry is defined"),
    ("specializations of one template", {"src/base/a.h": "namespace std {\ntemplate <>\nstruct hash<pagoda::A> {};\n}\n",
                                         "src/base/b.h": "namespace std {\ntemplate <>\nstruct hash<pagoda::B> {};\n}\n"}, None),
    ("types that are not one", {
        "src/base/a.cc": "namespace pagoda {\nclass Stream;\nnamespace {\nclass Stream {};\n}\nstruct Outer {\n  struct Inner {};\n};\n"
                         "Stream open(struct stat* s) {\n  struct Local {};\n}\n}\n",
        "src/base/b.cc": "namespace pagoda::http {\nclass Stream {};\nstruct Stream* find(Stream x) {\n  struct Local {};\n}\n}\n",
        "src/base/c.cc": "namespace pagoda {\nnamespace {\nenum class Stream : int {};\n}\nstruct Other {\n  struct Inner {};\n};\n}\n"}, None),
    ("a fence", {"src/engine/x.cc": "auto x = getenv(\"A\");\n"}, r"src/engine/x.cc:1: matches the fence"),
    ("a fence in a comment", {"src/engine/x.cc": "// getenv(A)\n"}, None),
    ("a long file", {"src/base/x.cc": "\n" * 521}, r"src/base/x.cc: 521 lines, more than 520"),
    ("a long table", {"src/base/x.cc": "// Table: of lines\n" * 521}, None),
    ("a long function", {"src/base/x.cc": "int f() {\n" + "  ;\n" * 79 + "}\n"}, r"src/base/x.cc:1: a function of 81 lines"),
    ("a room that the map lacks", {"ARCHITECTURE.md": MAP.replace("| `engine` | b |\n", "")},
     r"ARCHITECTURE.md: the map has no row for room 'engine'"),
    ("a row without a room", {"ARCHITECTURE.md": MAP.replace("## Else", "| `old` | e |\n## Else")},
     r"ARCHITECTURE.md: the map has a row for 'old'"),
    ("rows in another order", {"ARCHITECTURE.md": MAP.replace("`base` | a |\n| `engine`", "`engine` | a |\n| `base`")},
     r"ARCHITECTURE.md: the map's rows are in another order"),
    ("a test without a room", {"tests/news/x_test.cc": ""}, r"there is no room 'news'"),
]


class CheckRooms(unittest.TestCase):
    def find(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {"tools/rooms.txt": TABLE, **TREE, **files}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_rooms.find_faults(root)[0]

    def test_cases(self):
        for name, files, says in CASES:
            with self.subTest(name):
                found = self.find(files)
                self.assertEqual(len(found), 0 if says is None else 1, found)
                if says is not None:
                    self.assertRegex(found[0], says)

    def test_tables_that_are_none(self):
        for line, says in [("room x: y | *", "names 'y', which is not declared above it"),
                           ("room x: base", "neither `room NAME: ROOM"), ("rooms", "neither `room NAME: ROOM")]:
            with self.subTest(line), self.assertRaisesRegex(SystemExit, re.escape(says)):
                self.find({"tools/rooms.txt": TABLE + line + "\n"})


if __name__ == "__main__":
    unittest.main()
