// The interpreter's statements: scopes, loops, macros.
#include <algorithm>

#include "jinja/eval.h"
#include "jinja/loop.h"
#include "jinja/text.h"

namespace pagoda::jinja {

class Interpreter::Capture {
 public:
  explicit Capture(Interpreter* interpreter) : interpreter_(interpreter), outer_(interpreter->out_) {
    interpreter->out_ = &text_;
  }
  ~Capture() { interpreter_->out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  PyValue take() { return PyValue::string(std::move(text_)); }

 private:
  Interpreter* interpreter_;
  std::string* outer_;
  std::string text_;
};

class Interpreter::ScopeHolder {
 public:
  ScopeHolder(Interpreter* interpreter, Scope* parent, bool kept) : own_(parent), scope_(&own_) {
    if (!kept) return;
    interpreter->budget_.charge(4);
    scope_ = interpreter->kept_scopes_.emplace_back(std::make_unique<Scope>(parent)).get();
  }
  Scope* get() { return scope_; }

 private:
  Scope own_;
  Scope* scope_;
};

namespace {

class MacroData : public ObjectData {
 public:
  MacroData(const Macro* macro, Scope* closure) : macro_(macro), closure_(closure) {}
  const char* type_name() const override { return "Macro"; }
  PyValue call(Interpreter& interpreter, Arguments& arguments) const override {
    return interpreter.call_macro(*macro_, closure_, arguments);
  }
  bool attribute(std::string_view name, PyValue* value) const override {
    if (name == "name") {
      *value = PyValue::string(macro_->name);
    } else if (name == "arguments") {
      std::vector<PyValue> names;
      for (const std::string& parameter : macro_->parameter_names)
        names.push_back(PyValue::string(parameter));
      *value = PyValue::tuple(std::move(names));
    } else if (name == "catch_kwargs" || name == "catch_varargs" || name == "caller") {
      *value = PyValue::boolean(name == "caller"         ? macro_->uses_caller
                                : name == "catch_kwargs" ? macro_->uses_kwargs
                                                         : macro_->uses_varargs);
    } else {
      return false;
    }
    return true;
  }

 private:
  const Macro* macro_;
  Scope* closure_;
};

}  // namespace

Interpreter::Flow Interpreter::exec(const Body& body, Scope* scope) {
  for (const auto& stmt : body) {
    Flow flow = exec_statement(*stmt, scope);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_statement(const Stmt& stmt, Scope* scope) try {
  Budget::Nest nest(&budget_, 1);
  budget_.charge();
  switch (stmt.kind) {
    case StmtKind::kText:
      print(stmt.text);
      break;
    case StmtKind::kPrint:
      print_value(eval(*stmt.expression, scope));
      break;
    case StmtKind::kIf:
      return exec_if(stmt, scope);
    case StmtKind::kFor: {
      PyValue items = eval(*stmt.expression, scope);
      if (!stmt.recursive) return exec_for(stmt, scope, items, 0);
      print_value(run_loop_again(stmt, scope, items, 0));
      break;
    }
    case StmtKind::kSet:
      assign_target(*stmt.target, scope, eval(*stmt.expression, scope));
      break;
    case StmtKind::kSetBlock:
      return exec_set_block(stmt, scope);
    case StmtKind::kMacro:
      budget_.charge(4);
      assign(scope, stmt.macro->symbol,
             PyValue::of(Kind::kObject, std::make_shared<MacroData>(stmt.macro.get(), scope)));
      break;
    case StmtKind::kCallBlock:
      exec_call_block(stmt, scope);
      break;
    case StmtKind::kFilterBlock:
      return exec_filter_block(stmt, scope);
    case StmtKind::kWith:
      return exec_with(stmt, scope);
    case StmtKind::kScope: {
      ScopeHolder inner(this, scope, stmt.captured);
      return exec(stmt.body, inner.get());
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
} catch (Fault& fault) {
  if (fault.line == 0) fault.line = stmt.line;
  throw;
}

Interpreter::Flow Interpreter::exec_if(const Stmt& stmt, Scope* scope) {
  for (const auto& [condition, body] : stmt.branches)
    if (truthy(eval(*condition, scope))) return exec(body, scope);
  return exec(stmt.else_body, scope);
}

void Interpreter::print(std::string_view text) {
  budget_.check_bytes(out_->size() + text.size());
  budget_.charge_scan(text.size());
  *out_ += text;
}

void Interpreter::print_value(const PyValue& value) {
  append_str(&budget_, out_, value);
}

std::function<bool(PyValue*)> Interpreter::loop_source(const Stmt& stmt, Scope* scope, const PyValue& items) {
  if (!stmt.condition) return [cursor = Cursor(items)](PyValue* item) mutable { return cursor.next(item); };
  return [this, &stmt, scope, cursor = Cursor(items)](PyValue* item) mutable {
    while (cursor.next(item)) {
      Scope inner(scope);
      assign_target(*stmt.target, &inner, *item);
      if (truthy(eval(*stmt.condition, &inner))) return true;
    }
    return false;
  };
}

Interpreter::Flow Interpreter::exec_for(const Stmt& stmt, Scope* scope, const PyValue& items, int depth) {
  std::function<bool(PyValue*)> source = loop_source(stmt, scope, items);
  std::shared_ptr<LoopData> loop;
  if (stmt.uses_loop)
    loop =
        std::make_shared<LoopData>(&budget_, &stmt, scope, depth, source, stmt.condition ? PyValue() : items);
  LoopData::Ending ending(loop.get());
  PyValue loop_value = loop ? PyValue::of(Kind::kObject, loop) : PyValue();
  bool completed = false;
  Scope reused(scope);
  for (PyValue item; loop ? loop->advance(&item) : source(&item);) {
    budget_.charge();
    reused.variables.clear();
    Scope* inner = &reused;
    if (stmt.captured) {
      budget_.charge(4);
      inner = kept_scopes_.emplace_back(std::make_unique<Scope>(scope)).get();
    }
    if (loop) inner->variables.emplace_back(program_.loop, loop_value);
    assign_target(*stmt.target, inner, item);
    Flow flow = exec(stmt.body, inner);
    if (flow == Flow::kBreak) break;
    // As in the original, an iteration that is cut short does not count for `else`.
    if (flow == Flow::kNormal) completed = true;
  }
  if (completed || stmt.else_body.empty()) return Flow::kNormal;
  ScopeHolder inner(this, scope, stmt.captured);
  return exec(stmt.else_body, inner.get());
}

PyValue Interpreter::run_loop_again(const Stmt& stmt, Scope* scope, const PyValue& items, int depth) {
  Budget::Nest nest(&budget_, Budget::kCallWeight);
  Capture capture(this);
  exec_for(stmt, scope, items, depth);
  return capture.take();
}

Interpreter::Flow Interpreter::exec_set_block(const Stmt& stmt, Scope* scope) {
  PyValue text;
  {
    Capture capture(this);
    ScopeHolder inner(this, scope, stmt.captured);
    Flow flow = exec(stmt.body, inner.get());
    if (flow != Flow::kNormal) return flow;
    text = capture.take();
  }
  if (stmt.expression) text = eval_filter(*stmt.expression, scope, &text);
  assign_target(*stmt.target, scope, text);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_filter_block(const Stmt& stmt, Scope* scope) {
  ScopeHolder inner(this, scope, stmt.captured);
  PyValue text;
  {
    Capture capture(this);
    Flow flow = exec(stmt.body, inner.get());
    if (flow != Flow::kNormal) return flow;
    text = capture.take();
  }
  print_value(eval_filter(*stmt.expression, inner.get(), &text));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::exec_with(const Stmt& stmt, Scope* scope) {
  ScopeHolder inner(this, scope, stmt.captured);
  // All values are those of outside.
  std::vector<PyValue> values;
  for (const ExprPtr& value : stmt.values) values.push_back(eval(*value, scope));
  for (std::size_t i = 0; i < values.size(); ++i) assign_target(*stmt.targets[i], inner.get(), values[i]);
  return exec(stmt.body, inner.get());
}

void Interpreter::exec_call_block(const Stmt& stmt, Scope* scope) {
  PyValue caller = PyValue::of(Kind::kObject, std::make_shared<MacroData>(stmt.macro.get(), scope));
  print_value(eval_call(*stmt.expression, scope, &caller));
}

void Interpreter::assign_target(const Expr& target, Scope* scope, const PyValue& value) {
  if (target.kind == ExprKind::kName) return assign(scope, target.symbol, value);
  if (target.kind == ExprKind::kNamespaceTarget) {
    const PyValue* found = lookup(target.symbol, scope);
    if (found == nullptr || !found->is(Kind::kNamespace))
      fail("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
    budget_.charge();
    found->as<NamespaceData>().set(&budget_, target.text, value);
    return;
  }
  if (!is_iterable(value)) fail("TypeError", "cannot unpack non-iterable " + type_name(value) + " object");
  Cursor cursor(value);
  std::vector<PyValue> parts;
  for (PyValue part; cursor.next(&part);) {
    parts.push_back(part);
    if (parts.size() > target.items.size())
      fail("ValueError", "too many values to unpack (expected " + std::to_string(target.items.size()) + ")");
  }
  if (parts.size() < target.items.size())
    fail("ValueError", "not enough values to unpack (expected " + std::to_string(target.items.size()) +
                           ", got " + std::to_string(parts.size()) + ")");
  for (std::size_t i = 0; i < parts.size(); ++i) assign_target(*target.items[i], scope, parts[i]);
}

namespace {

bool take_named(Budget* budget, Arguments* arguments, std::string_view name, PyValue* value) {
  budget->charge(static_cast<int64_t>(arguments->named.size() / 8));
  for (auto it = arguments->named.begin(); it != arguments->named.end(); ++it) {
    if (it->first != name) continue;
    *value = std::move(it->second);
    arguments->named.erase(it);
    return true;
  }
  return false;
}

}  // namespace

PyValue Interpreter::call_macro(const Macro& macro, Scope* closure, Arguments& arguments) {
  Budget::Nest nest(&budget_, Budget::kCallWeight);
  ScopeHolder scope(this, closure, macro.captured);
  assign_macro_parameters(macro, scope.get(), arguments);
  Capture capture(this);
  exec(macro.body, scope.get());
  return capture.take();
}

// Positional arguments first, then by name, then defaults, which see the parameters before them.
void Interpreter::assign_macro_parameters(const Macro& macro, Scope* scope, Arguments& arguments) {
  std::size_t count = macro.parameters.size(), required = count - macro.defaults.size();
  std::size_t used = std::min(arguments.positional.size(), count);
  budget_.charge(static_cast<int64_t>(count));
  std::vector<std::optional<PyValue>> given(count);
  bool found_caller = used == count && std::find(macro.parameters.begin(), macro.parameters.end(),
                                                 program_.caller) != macro.parameters.end();
  for (std::size_t i = 0; i < count; ++i) {
    PyValue value;
    if (i < used)
      given[i] = arguments.positional[i];
    else if (take_named(&budget_, &arguments, macro.parameter_names[i], &value))
      given[i] = std::move(value);
    if (i >= used && macro.parameters[i] == program_.caller) found_caller = true;
  }
  if (macro.uses_caller && !found_caller) {
    PyValue caller = undefined("No caller defined");
    take_named(&budget_, &arguments, "caller", &caller);
    scope->variables.emplace_back(program_.caller, std::move(caller));
  }
  assign_macro_specials(macro, scope, arguments, used);
  for (std::size_t i = 0; i < count; ++i) {
    PyValue value;
    if (given[i])
      value = std::move(*given[i]);
    else if (i >= required)
      value = eval(*macro.defaults[i - required], scope);
    else
      value = undefined("parameter " + quoted(macro.parameter_names[i]) + " was not provided");
    scope->variables.emplace_back(macro.parameters[i], std::move(value));
  }
}

// What is left over becomes varargs and kwargs if the macro uses them, else it is too much.
void Interpreter::assign_macro_specials(const Macro& macro, Scope* scope, Arguments& arguments,
                                        std::size_t used) {
  if (macro.uses_kwargs) {
    auto dict = std::make_shared<DictData>();
    for (auto& [name, value] : arguments.named) dict->append_new(name, std::move(value));
    scope->variables.emplace_back(program_.kwargs, PyValue::of(Kind::kDict, std::move(dict)));
  } else if (!arguments.named.empty()) {
    const std::string& name = arguments.named.front().first;
    fail("TypeError", "macro " + quoted(macro.name) + " takes no keyword argument " + quoted(name));
  }
  std::vector<PyValue> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                            arguments.positional.end());
  if (macro.uses_varargs)
    scope->variables.emplace_back(program_.varargs, PyValue::tuple(std::move(rest)));
  else if (!rest.empty())
    fail("TypeError", "macro " + quoted(macro.name) + " takes not more than " +
                          std::to_string(macro.parameters.size()) + " argument(s)");
}

}  // namespace pagoda::jinja
