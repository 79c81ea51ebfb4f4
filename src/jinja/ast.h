// The parsed template. Names are numbers (symbols), so that a scope is searched by comparing integers.
// Immutable after parsing, shared by all renderings.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/operation.h"
#include "jinja/ops.h"
#include "jinja/value.h"

namespace pagoda::jinja {

using Symbol = int;

enum class ExprKind : uint8_t {
  kConst,  // value
  kName,   // symbol, text
  kTuple,
  kList,       // items
  kDict,       // items: key, value, key, value...
  kAttribute,  // items[0].text
  kItem,       // items[0][items[1]]
  kSlice,      // items[0][items[1]:items[2]:items[3]], the last three may be null
  kCall,       // items[0](arguments)
  kFilter,     // items[0]|text(arguments); items[0] is null in a filter block
  kTest,       // items[0] is text(arguments)
  kNot,
  kNegate,
  kPlus,     // items[0]
  kBinary,   // items[0] binary_op items[1]
  kConcat,   // items joined by ~
  kCompare,  // items[0] compare_ops[0] items[1] compare_ops[1] items[2] ...
  kAnd,
  kOr,               // items[0], items[1]
  kCondition,        // items[1] if items[0] else items[2]; the last may be null
  kNamespaceTarget,  // name.text as the target of `set`
};

enum class CompareOp : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, double_star;
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  BinaryOp binary_op = BinaryOp::kAdd;
  int line = 0;
  int depth = 1;  // of the tree below
  Symbol symbol = -1;
  std::string text;
  PyValue value;
  std::vector<ExprPtr> items;
  std::vector<CompareOp> compare_ops;
  std::unique_ptr<CallArguments> arguments;
  Filter filter = nullptr;  // null: no such filter, a fault when it is reached
  Test test = nullptr;
};

enum class StmtKind : uint8_t {
  kText,         // text
  kPrint,        // expression
  kIf,           // branches, else_body
  kFor,          // for target in expression if condition: body, else_body
  kSet,          // target = expression
  kSetBlock,     // target = body, filtered by expression (may be null)
  kMacro,        // macro; its value is bound to macro.name
  kCallBlock,    // expression is the call, macro the caller
  kFilterBlock,  // expression is the chain of filters
  kWith,         // targets, values, body
  kScope,        // body in a scope of its own: generation, block
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct Macro {
  std::string name;
  Symbol symbol = -1;
  std::vector<std::string> parameter_names;
  std::vector<Symbol> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  bool captured = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 0;
  bool recursive = false;  // for
  bool uses_loop = false;  // for
  // A macro or caller is made inside, so the scope may be needed after it ends.
  bool captured = false;
  std::string text;
  ExprPtr expression, condition, target;
  std::vector<ExprPtr> targets, values;
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body body, else_body;
  std::unique_ptr<Macro> macro;
};

struct Program {
  Body body;
  std::vector<std::string> symbols;
  Symbol loop = -1, caller = -1, varargs = -1, kwargs = -1;
};

}  // namespace pagoda::jinja
