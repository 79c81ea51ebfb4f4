// The interpreter of one rendering: walks the Program with a chain of scopes. Lookup is lexical; a loop,
// macro, `with`, `call`, `filter` and block `set` open a scope, an `if` does not, so a `set` in a loop does
// not leak out of it. Used by one thread, once. Everything that templates can make cyclic (namespaces) or
// that outlives its block (scopes which a macro sees) is owned here and dropped at the end.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "jinja/ast.h"
#include "jinja/value.h"

namespace pagoda::jinja {

struct Scope {
  explicit Scope(Scope* parent_in) : parent(parent_in) {}
  Scope* parent;  // nullptr: the root, whose variables are the interpreter's table
  std::vector<std::pair<Symbol, PyValue>> variables;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const TemplateLimits& limits, const Object& context,
              const TemplateClock& clock);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Throws a Fault.
  std::string run();

  Budget& budget() { return budget_; }
  const TemplateClock& clock() const { return clock_; }
  PyValue call(const PyValue& callee, Arguments& arguments);
  PyValue make_namespace(std::shared_ptr<NamespaceData> data);
  // A filter's iterator. `release`: it keeps values that it has seen, which may lead back to itself.
  PyValue make_generator(std::shared_ptr<const GeneratorData> data, bool release = false);
  PyValue call_macro(const Macro& macro, Scope* closure, Arguments& arguments);
  // Runs a recursive loop's body over other items, one level deeper; what it prints.
  PyValue run_loop_again(const Stmt& stmt, Scope* scope, const PyValue& items, int depth);
  std::string str(const PyValue& value) { return to_str(&budget_, value); }

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  // Sends what is printed to a string of its own while it lives.
  class Capture;
  // A scope on the stack, or one that lives as long as the interpreter if a macro may keep it.
  class ScopeHolder;

  // eval.cc
  PyValue eval(const Expr& expr, Scope* scope);
  PyValue eval_container(const Expr& expr, Scope* scope);
  PyValue eval_name(const Expr& expr, const Scope* scope);
  PyValue eval_slice(const Expr& expr, Scope* scope);
  PyValue eval_call(const Expr& expr, Scope* scope, const PyValue* caller);
  PyValue eval_filter(const Expr& expr, Scope* scope, const PyValue* block);
  PyValue eval_test(const Expr& expr, Scope* scope);
  PyValue eval_concat(const Expr& expr, Scope* scope);
  PyValue eval_compare(const Expr& expr, Scope* scope);
  PyValue eval_condition(const Expr& expr, Scope* scope);
  bool compare_once(CompareOp op, const PyValue& a, const PyValue& b);
  void eval_arguments(const CallArguments& source, Scope* scope, Arguments* arguments);
  const PyValue* lookup(Symbol symbol, const Scope* scope);
  void assign(Scope* scope, Symbol symbol, PyValue value);

  // statements.cc
  Flow exec(const Body& body, Scope* scope);
  Flow exec_statement(const Stmt& stmt, Scope* scope);
  Flow exec_if(const Stmt& stmt, Scope* scope);
  Flow exec_for(const Stmt& stmt, Scope* scope, const PyValue& items, int depth);
  // What the loop walks: the items, or those of them that fulfil its condition.
  std::function<bool(PyValue*)> loop_source(const Stmt& stmt, Scope* scope, const PyValue& items);
  Flow exec_set_block(const Stmt& stmt, Scope* scope);
  Flow exec_filter_block(const Stmt& stmt, Scope* scope);
  Flow exec_with(const Stmt& stmt, Scope* scope);
  void exec_call_block(const Stmt& stmt, Scope* scope);
  void assign_target(const Expr& target, Scope* scope, const PyValue& value);
  void assign_macro_parameters(const Macro& macro, Scope* scope, Arguments& arguments);
  void assign_macro_specials(const Macro& macro, Scope* scope, Arguments& arguments, std::size_t used);
  void print(std::string_view text);
  void print_value(const PyValue& value);

  const Program& program_;
  Budget budget_;
  Budget::Use use_;
  const TemplateClock& clock_;
  std::string output_;
  std::string* out_ = &output_;
  struct RootVariable {
    PyValue value;
    bool bound = false;
  };
  std::vector<RootVariable> root_;  // by symbol
  Scope root_scope_{nullptr};
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  std::vector<std::shared_ptr<const NamespaceData>> namespaces_;
  std::vector<std::weak_ptr<const GeneratorData>> generators_;
};

}  // namespace pagoda::jinja
