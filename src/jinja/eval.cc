// The interpreter's expressions.
#include "jinja/eval.h"

#include "jinja/builtins/globals.h"
#include "jinja/builtins/methods.h"
#include "jinja/text.h"

namespace pagoda::jinja {
Interpreter::Interpreter(const Program& program, const TemplateLimits& limits, const Object& context,
                         const TemplateClock& clock)
    : program_(program), budget_(limits), use_(&budget_), clock_(clock), root_(program.symbols.size()) {
  for (std::size_t i = 0; i < root_.size(); ++i) {
    const std::string& name = program.symbols[i];
    const Value* given = context.find(name);
    if (given != nullptr) root_[i].value = from_value(*given);
    root_[i].bound = given != nullptr || find_global(name, &root_[i].value);
  }
}

// Namespaces may hold each other, and scopes macros: emptied one by one, nothing is destroyed recursively.
Interpreter::~Interpreter() {
  for (const auto& ns : namespaces_) ns->attributes.clear();
  for (const auto& scope : kept_scopes_) scope->variables.clear();
  for (const auto& weak : generators_)
    if (auto generator = weak.lock()) generator->release();
}

std::string Interpreter::run() {
  exec(program_.body, &root_scope_);
  return std::move(output_);
}

PyValue Interpreter::make_namespace(std::shared_ptr<NamespaceData> data) {
  budget_.charge(4);
  namespaces_.push_back(data);
  return PyValue::of(Kind::kNamespace, std::move(data));
}

PyValue Interpreter::make_generator(std::shared_ptr<const GeneratorData> data, bool release) {
  if (release) generators_.push_back(data);
  return PyValue::of(Kind::kGenerator, std::move(data));
}

const PyValue* Interpreter::lookup(Symbol symbol, const Scope* scope) {
  for (; scope->parent != nullptr; scope = scope->parent) {
    budget_.charge(static_cast<int64_t>(scope->variables.size() / 16));
    for (const auto& [name, value] : scope->variables)
      if (name == symbol) return &value;
  }
  const RootVariable& variable = root_[static_cast<std::size_t>(symbol)];
  return variable.bound ? &variable.value : nullptr;
}

void Interpreter::assign(Scope* scope, Symbol symbol, PyValue value) {
  if (scope->parent == nullptr) {
    RootVariable& variable = root_[static_cast<std::size_t>(symbol)];
    variable.value = std::move(value);
    variable.bound = true;
    return;
  }
  budget_.charge(static_cast<int64_t>(scope->variables.size() / 16));
  for (auto& variable : scope->variables) {
    if (variable.first != symbol) continue;
    variable.second = std::move(value);
    return;
  }
  scope->variables.emplace_back(symbol, std::move(value));
}

PyValue Interpreter::eval_name(const Expr& expr, const Scope* scope) {
  const PyValue* found = lookup(expr.symbol, scope);
  return found != nullptr ? *found : undefined_name(expr.text);
}

PyValue Interpreter::eval(const Expr& expr, Scope* scope) {
  Budget::Nest nest(&budget_, 1);
  budget_.charge();
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.value;
    case ExprKind::kName:
      return eval_name(expr, scope);
    case ExprKind::kTuple:
    case ExprKind::kList:
    case ExprKind::kDict:
      return eval_container(expr, scope);
    case ExprKind::kAttribute:
      return get_attribute(&budget_, eval(*expr.items[0], scope), expr.text);
    case ExprKind::kItem: {
      PyValue object = eval(*expr.items[0], scope);
      return get_item(&budget_, object, eval(*expr.items[1], scope));
    }
    case ExprKind::kSlice:
      return eval_slice(expr, scope);
    case ExprKind::kCall:
      return eval_call(expr, scope, nullptr);
    case ExprKind::kFilter:
      return eval_filter(expr, scope, nullptr);
    case ExprKind::kTest:
      return eval_test(expr, scope);
    case ExprKind::kNot:
      return PyValue::boolean(!truthy(eval(*expr.items[0], scope)));
    case ExprKind::kNegate:
      return negate(eval(*expr.items[0], scope));
    case ExprKind::kPlus:
      return plus(eval(*expr.items[0], scope));
    case ExprKind::kBinary: {
      PyValue left = eval(*expr.items[0], scope);
      return binary(&budget_, expr.binary_op, left, eval(*expr.items[1], scope));
    }
    case ExprKind::kConcat:
      return eval_concat(expr, scope);
    case ExprKind::kCompare:
      return eval_compare(expr, scope);
    case ExprKind::kAnd: {
      PyValue left = eval(*expr.items[0], scope);
      return truthy(left) ? eval(*expr.items[1], scope) : left;
    }
    case ExprKind::kOr: {
      PyValue left = eval(*expr.items[0], scope);
      return truthy(left) ? left : eval(*expr.items[1], scope);
    }
    case ExprKind::kCondition:
      return eval_condition(expr, scope);
    case ExprKind::kNamespaceTarget:
      break;  // only ever assigned to
  }
  return {};
}

PyValue Interpreter::eval_container(const Expr& expr, Scope* scope) {
  budget_.charge(static_cast<int64_t>(expr.items.size()));
  if (expr.kind == ExprKind::kDict) {
    auto dict = std::make_shared<DictData>();
    for (std::size_t i = 0; i < expr.items.size(); i += 2) {
      PyValue key = eval(*expr.items[i], scope);
      dict->set(&budget_, std::move(key), eval(*expr.items[i + 1], scope));
    }
    return PyValue::of(Kind::kDict, std::move(dict));
  }
  std::vector<PyValue> items;
  items.reserve(expr.items.size());
  for (const ExprPtr& item : expr.items) items.push_back(eval(*item, scope));
  return expr.kind == ExprKind::kList ? PyValue::list(std::move(items)) : PyValue::tuple(std::move(items));
}

PyValue Interpreter::eval_slice(const Expr& expr, Scope* scope) {
  PyValue object = eval(*expr.items[0], scope);
  PyValue parts[3];
  for (std::size_t i = 0; i < 3; ++i)
    if (expr.items[i + 1]) parts[i] = eval(*expr.items[i + 1], scope);
  return slice(&budget_, object, parts[0], parts[1], parts[2]);
}

void Interpreter::eval_arguments(const CallArguments& source, Scope* scope, Arguments* arguments) {
  arguments->positional.reserve(source.positional.size());
  for (const ExprPtr& argument : source.positional) arguments->positional.push_back(eval(*argument, scope));
  if (source.star) {
    std::vector<PyValue> more = to_vector(&budget_, eval(*source.star, scope));
    arguments->positional.insert(arguments->positional.end(), more.begin(), more.end());
  }
  for (const auto& [name, argument] : source.named)
    arguments->named.emplace_back(name, eval(*argument, scope));
  if (!source.double_star) return;
  PyValue more = eval(*source.double_star, scope);
  require_defined(more);
  if (!more.is_dict()) fail("TypeError", "argument after ** must be a mapping, not " + type_name(more));
  for (const auto& [key, value] : more.as<DictData>().entries()) {
    if (!key.is_string()) fail("TypeError", "keywords must be strings");
    for (const auto& named : arguments->named) {
      budget_.charge();
      if (named.first == key.text())
        fail("TypeError", "got multiple values for keyword argument " + quoted(key.text()));
    }
    arguments->named.emplace_back(key.text(), value);
  }
}

// `caller`: what a call block passes besides.
PyValue Interpreter::eval_call(const Expr& expr, Scope* scope, const PyValue* caller) {
  const Expr& target = *expr.items[0];
  Arguments arguments;
  if (target.kind == ExprKind::kAttribute) {
    // A method is called without making a value of it first.
    PyValue self = eval(*target.items[0], scope);
    require_defined(self);
    Method method = find_method(self, target.text);
    if (method != nullptr) {
      eval_arguments(*expr.arguments, scope, &arguments);
      if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
      return method(*this, self, arguments);
    }
    PyValue callee = get_attribute(&budget_, self, target.text);
    eval_arguments(*expr.arguments, scope, &arguments);
    if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
    return call(callee, arguments);
  }
  PyValue callee = eval(target, scope);
  eval_arguments(*expr.arguments, scope, &arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, arguments);
}

PyValue Interpreter::call(const PyValue& callee, Arguments& arguments) {
  require_defined(callee);
  if (!callee.is(Kind::kObject) || !callee.as<ObjectData>().callable())
    fail("TypeError", quoted(type_name(callee)) + " object is not callable");
  return callee.as<ObjectData>().call(*this, arguments);
}

// `block`: what the innermost filter of a filter block is applied to.
PyValue Interpreter::eval_filter(const Expr& expr, Scope* scope, const PyValue* block) {
  PyValue value;
  if (expr.items[0] == nullptr) {
    value = *block;
  } else if (block != nullptr && expr.items[0]->kind == ExprKind::kFilter) {
    Budget::Nest nest(&budget_, 1);
    value = eval_filter(*expr.items[0], scope, block);
  } else {
    value = eval(*expr.items[0], scope);
  }
  if (expr.filter == nullptr)
    fail("TemplateRuntimeError", "No filter named " + quoted(expr.text) + " found.");
  Arguments arguments;
  eval_arguments(*expr.arguments, scope, &arguments);
  return expr.filter(*this, value, arguments);
}

PyValue Interpreter::eval_test(const Expr& expr, Scope* scope) {
  PyValue value = eval(*expr.items[0], scope);
  if (expr.test == nullptr) fail("TemplateRuntimeError", "No test named " + quoted(expr.text) + " found.");
  Arguments arguments;
  eval_arguments(*expr.arguments, scope, &arguments);
  return PyValue::boolean(expr.test(*this, value, arguments));
}

PyValue Interpreter::eval_concat(const Expr& expr, Scope* scope) {
  std::string out;
  for (const ExprPtr& item : expr.items) append_str(&budget_, &out, eval(*item, scope));
  return PyValue::string(std::move(out));
}

bool Interpreter::compare_once(CompareOp op, const PyValue& a, const PyValue& b) {
  switch (op) {
    case CompareOp::kEqual:
      return equals(&budget_, a, b);
    case CompareOp::kNotEqual:
      return !equals(&budget_, a, b);
    case CompareOp::kLess:
      return compare(&budget_, Order::kLess, a, b);
    case CompareOp::kLessEqual:
      return compare(&budget_, Order::kLessEqual, a, b);
    case CompareOp::kGreater:
      return compare(&budget_, Order::kGreater, a, b);
    case CompareOp::kGreaterEqual:
      return compare(&budget_, Order::kGreaterEqual, a, b);
    case CompareOp::kIn:
      return contains(&budget_, b, a);
    case CompareOp::kNotIn:
      return !contains(&budget_, b, a);
  }
  return false;
}

PyValue Interpreter::eval_compare(const Expr& expr, Scope* scope) {
  PyValue left = eval(*expr.items[0], scope);
  for (std::size_t i = 0; i < expr.compare_ops.size(); ++i) {
    PyValue right = eval(*expr.items[i + 1], scope);
    if (!compare_once(expr.compare_ops[i], left, right)) return PyValue::boolean(false);
    left = std::move(right);
  }
  return PyValue::boolean(true);
}

PyValue Interpreter::eval_condition(const Expr& expr, Scope* scope) {
  if (truthy(eval(*expr.items[0], scope))) return eval(*expr.items[1], scope);
  if (expr.items[2]) return eval(*expr.items[2], scope);
  return undefined("the inline if-expression on line " + std::to_string(expr.line) +
                   " evaluated to false and no else section was defined.");
}

}  // namespace pagoda::jinja
