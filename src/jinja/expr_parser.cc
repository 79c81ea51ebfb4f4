// The expression half of the parser.
#include <algorithm>

#include "jinja/builtins/filters.h"
#include "jinja/builtins/tests.h"
#include "jinja/parser.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

constexpr int kExprDepthMax = 500;

}  // namespace

ExprPtr Parser::make(ExprKind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

ExprPtr Parser::done(ExprPtr expr) const {
  int depth = 0;
  for (const ExprPtr& item : expr->items)
    if (item) depth = std::max(depth, item->depth);
  if (const CallArguments* arguments = expr->arguments.get()) {
    for (const ExprPtr& item : arguments->positional) depth = std::max(depth, item->depth);
    for (const auto& [name, item] : arguments->named) depth = std::max(depth, item->depth);
    for (const ExprPtr* item : {&arguments->star, &arguments->double_star})
      if (*item) depth = std::max(depth, (*item)->depth);
  }
  expr->depth = depth + 1;
  // Chains such as a + b + c nest to the left without nesting the parser.
  if (expr->depth > kExprDepthMax) error("an expression has too many operators in a row", expr->line);
  return expr;
}

ExprPtr Parser::unary_node(ExprKind kind, int line, ExprPtr operand) const {
  ExprPtr expr = make(kind, line);
  expr->items.push_back(std::move(operand));
  return done(std::move(expr));
}

ExprPtr Parser::pair_node(ExprKind kind, int line, ExprPtr left, ExprPtr right) const {
  ExprPtr expr = make(kind, line);
  expr->items.push_back(std::move(left));
  expr->items.push_back(std::move(right));
  return done(std::move(expr));
}

void Parser::check_target(const Expr& target) const {
  if (target.kind == ExprKind::kName) {
    if (target.symbol == program_.loop)
      error("Can't assign to special loop variable in for-loop target", target.line);
  } else if (target.kind == ExprKind::kTuple) {
    for (const ExprPtr& item : target.items) check_target(*item);
  } else if (target.kind != ExprKind::kNamespaceTarget) {
    error("can't assign to this expression", target.line);
  }
}

ExprPtr Parser::parse_target(bool with_namespace) {
  ExprPtr target = parse_tuple(true, true, TupleEnd::kAny, false, with_namespace);
  check_target(*target);
  return target;
}

bool Parser::at_tuple_end(TupleEnd end) const {
  if (current().type == TokenType::kVariableEnd || current().type == TokenType::kBlockEnd || at_operator(")"))
    return true;
  return (end == TupleEnd::kIn && at_name("in")) || (end == TupleEnd::kRecursive && at_name("recursive"));
}

// One expression, or several with commas between: a tuple. `simplified`: names and literals only (targets).
ExprPtr Parser::parse_tuple(bool simplified, bool with_condition, TupleEnd end, bool parenthesized,
                            bool with_namespace) {
  Enter enter(this);
  ExprPtr tuple = make(ExprKind::kTuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->items.empty()) expect_operator(",");
    if (at_tuple_end(end)) break;
    tuple->items.push_back(simplified ? parse_primary(with_namespace) : parse_expression(with_condition));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !tuple->items.empty()) return std::move(tuple->items[0]);
  if (!is_tuple && !parenthesized) unexpected("expression");
  return done(std::move(tuple));
}

ExprPtr Parser::parse_expression(bool with_condition) {
  return with_condition ? parse_condition() : parse_or();
}

ExprPtr Parser::parse_condition() {
  Enter enter(this);
  int line = current().line;
  std::size_t unknown = unknown_.size();
  ExprPtr expr = parse_or();
  while (skip_name("if")) {
    unknown_.resize(unknown);  // what an inline `if` guards may name filters that do not exist
    ++soft_;
    ExprPtr condition = make(ExprKind::kCondition, line);
    condition->items.push_back(parse_or());
    condition->items.push_back(std::move(expr));
    condition->items.push_back(skip_name("else") ? parse_condition() : nullptr);
    --soft_;
    expr = done(std::move(condition));
    line = current().line;
  }
  return expr;
}

ExprPtr Parser::parse_or() {
  int line = current().line;
  ExprPtr left = parse_and();
  while (skip_name("or")) left = pair_node(ExprKind::kOr, line, std::move(left), parse_and());
  return left;
}

ExprPtr Parser::parse_and() {
  int line = current().line;
  ExprPtr left = parse_not();
  while (skip_name("and")) left = pair_node(ExprKind::kAnd, line, std::move(left), parse_not());
  return left;
}

ExprPtr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  Enter enter(this);
  int line = next().line;
  return unary_node(ExprKind::kNot, line, parse_not());
}

bool Parser::parse_compare_op(CompareOp* op) {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEqual},  {"!=", CompareOp::kNotEqual},  {"<", CompareOp::kLess},
      {">", CompareOp::kGreater}, {"<=", CompareOp::kLessEqual}, {">=", CompareOp::kGreaterEqual}};
  for (const auto& [text, kind] : kOps) {
    if (!skip_operator(text)) continue;
    *op = kind;
    return true;
  }
  *op = at_name("not") ? CompareOp::kNotIn : CompareOp::kIn;
  if (at_name("not") && look().is_name("in")) next();
  return skip_name("in");
}

ExprPtr Parser::parse_compare() {
  int line = current().line;
  ExprPtr first = parse_add();
  CompareOp op;
  if (!parse_compare_op(&op)) return first;
  ExprPtr expr = make(ExprKind::kCompare, line);
  expr->items.push_back(std::move(first));
  do {
    expr->compare_ops.push_back(op);
    expr->items.push_back(parse_add());
  } while (parse_compare_op(&op));
  return done(std::move(expr));
}

ExprPtr Parser::parse_add() {
  int line = current().line;
  ExprPtr left = parse_concat();
  while (at_operator("+") || at_operator("-")) {
    BinaryOp op = next().text == "+" ? BinaryOp::kAdd : BinaryOp::kSub;
    left = pair_node(ExprKind::kBinary, line, std::move(left), parse_concat());
    left->binary_op = op;
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  int line = current().line;
  ExprPtr first = parse_multiply();
  if (!at_operator("~")) return first;
  ExprPtr expr = make(ExprKind::kConcat, line);
  expr->items.push_back(std::move(first));
  while (skip_operator("~")) expr->items.push_back(parse_multiply());
  return done(std::move(expr));
}

ExprPtr Parser::parse_multiply() {
  static constexpr std::pair<std::string_view, BinaryOp> kOps[] = {
      {"*", BinaryOp::kMul}, {"/", BinaryOp::kDiv}, {"//", BinaryOp::kFloorDiv}, {"%", BinaryOp::kMod}};
  int line = current().line;
  ExprPtr left = parse_power();
  while (true) {
    auto op =
        std::find_if(std::begin(kOps), std::end(kOps), [&](const auto& o) { return at_operator(o.first); });
    if (op == std::end(kOps)) return left;
    next();
    left = pair_node(ExprKind::kBinary, line, std::move(left), parse_power());
    left->binary_op = op->second;
  }
}

ExprPtr Parser::parse_power() {
  int line = current().line;
  ExprPtr left = parse_unary(true);
  while (skip_operator("**")) {
    left = pair_node(ExprKind::kBinary, line, std::move(left), parse_unary(true));
    left->binary_op = BinaryOp::kPow;
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  Enter enter(this);
  int line = current().line;
  ExprPtr expr;
  if (at_operator("-") || at_operator("+")) {
    ExprKind kind = next().text == "-" ? ExprKind::kNegate : ExprKind::kPlus;
    expr = unary_node(kind, line, parse_unary(false));
  } else {
    expr = parse_primary(false);
  }
  expr = parse_postfix(std::move(expr));
  return with_filter ? parse_filters(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::parse_primary(bool with_namespace) {
  const Token& token = current();
  int line = token.line;
  ExprPtr expr;
  switch (token.type) {
    case TokenType::kName:
      return parse_name(with_namespace);
    case TokenType::kString:
      return parse_string();
    case TokenType::kInteger:
      expr = make(ExprKind::kConst, line);
      expr->value = PyValue::integer(next().integer);
      return expr;
    case TokenType::kFloat:
      expr = make(ExprKind::kConst, line);
      expr->value = PyValue::real(next().real);
      return expr;
    default:
      break;
  }
  if (skip_operator("(")) {
    expr = parse_tuple(false, true, TupleEnd::kAny, true, false);
    expect_operator(")");
    return expr;
  }
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  unexpected("expression");
}

ExprPtr Parser::parse_name(bool with_namespace) {
  Token token = next();
  ExprPtr expr = make(ExprKind::kConst, token.line);
  if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
    expr->value = PyValue::boolean(token.text[0] == 't' || token.text[0] == 'T');
  } else if (token.text == "none" || token.text == "None") {
    expr->value = PyValue();
  } else if (with_namespace && skip_operator(".")) {
    expr->kind = ExprKind::kNamespaceTarget;
    expr->symbol = intern(token.text);
    expr->text = expect_identifier();
  } else {
    expr->kind = ExprKind::kName;
    expr->symbol = intern(token.text);
    if (expr->symbol == program_.loop) ++loop_names_;
    if (!macros_.empty()) {
      macros_.back()->uses_caller |= expr->symbol == program_.caller;
      macros_.back()->uses_varargs |= expr->symbol == program_.varargs;
      macros_.back()->uses_kwargs |= expr->symbol == program_.kwargs;
    }
    expr->text = std::move(token.text);
  }
  return expr;
}

// Adjacent literals are one string.
ExprPtr Parser::parse_string() {
  ExprPtr expr = make(ExprKind::kConst, current().line);
  std::string text = next().text;
  while (current().type == TokenType::kString) text += next().text;
  expr->value = PyValue::string(std::move(text));
  expr->value.as<StringData>().length();
  return expr;
}

ExprPtr Parser::parse_list() {
  ExprPtr list = make(ExprKind::kList, current().line);
  expect_operator("[");
  while (!at_operator("]")) {
    if (!list->items.empty()) expect_operator(",");
    if (at_operator("]")) break;
    list->items.push_back(parse_expression());
  }
  expect_operator("]");
  return done(std::move(list));
}

ExprPtr Parser::parse_dict() {
  ExprPtr dict = make(ExprKind::kDict, current().line);
  expect_operator("{");
  while (!at_operator("}")) {
    if (!dict->items.empty()) expect_operator(",");
    if (at_operator("}")) break;
    dict->items.push_back(parse_expression());
    expect_operator(":");
    dict->items.push_back(parse_expression());
  }
  expect_operator("}");
  return done(std::move(dict));
}

ExprPtr Parser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (at_operator(".") || at_operator("["))
      expr = parse_subscript(std::move(expr));
    else if (at_operator("("))
      expr = parse_call(std::move(expr));
    else
      return expr;
  }
}

ExprPtr Parser::parse_filters(ExprPtr expr) {
  while (true) {
    if (at_operator("|"))
      expr = parse_filter_chain(std::move(expr), false);
    else if (at_name("is"))
      expr = parse_test(std::move(expr));
    else if (at_operator("("))
      expr = parse_call(std::move(expr));
    else
      return expr;
  }
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  Token token = next();
  if (token.text == "[") return parse_index(std::move(object));
  Token member = next();
  if (member.type == TokenType::kName) {
    ExprPtr expr = unary_node(ExprKind::kAttribute, token.line, std::move(object));
    expr->text = std::move(member.text);
    return expr;
  }
  if (member.type != TokenType::kInteger) error("expected name or number", member.line);
  ExprPtr index = make(ExprKind::kConst, member.line);
  index->value = PyValue::integer(member.integer);
  return pair_node(ExprKind::kItem, token.line, std::move(object), std::move(index));
}

// Behind the opening bracket: an index, a slice, or several indices that make a tuple.
ExprPtr Parser::parse_index(ExprPtr object) {
  int line = current().line;
  std::vector<ExprPtr> indices;
  while (!at_operator("]")) {
    if (!indices.empty()) expect_operator(",");
    ExprPtr parts[3];
    if (!at_operator(":")) parts[0] = parse_expression();
    if (!at_operator(":")) {
      indices.push_back(std::move(parts[0]));
      continue;
    }
    if (!indices.empty()) error("a slice cannot be part of a tuple", line);
    next();
    if (!at_operator(":") && !at_operator("]")) parts[1] = parse_expression();
    if (skip_operator(":") && !at_operator("]")) parts[2] = parse_expression();
    expect_operator("]");
    ExprPtr expr = make(ExprKind::kSlice, line);
    expr->items.push_back(std::move(object));
    for (ExprPtr& part : parts) expr->items.push_back(std::move(part));
    return done(std::move(expr));
  }
  next();
  if (indices.size() == 1) return pair_node(ExprKind::kItem, line, std::move(object), std::move(indices[0]));
  ExprPtr tuple = make(ExprKind::kTuple, line);
  tuple->items = std::move(indices);
  return pair_node(ExprKind::kItem, line, std::move(object), done(std::move(tuple)));
}

void Parser::parse_argument(CallArguments* arguments, int line) {
  auto ensure = [&](bool valid) {
    if (!valid) error("invalid syntax for function call expression", line);
  };
  if (skip_operator("*")) {
    ensure(!arguments->star && !arguments->double_star);
    arguments->star = parse_expression();
  } else if (skip_operator("**")) {
    ensure(!arguments->double_star);
    arguments->double_star = parse_expression();
  } else if (current().type == TokenType::kName && look().is_operator("=")) {
    ensure(!arguments->double_star);
    std::string name = next().text;
    next();
    arguments->named.emplace_back(std::move(name), parse_expression());
  } else {
    ensure(!arguments->star && !arguments->double_star && arguments->named.empty());
    arguments->positional.push_back(parse_expression());
  }
}

// Sorted, so that very many cost little.
void Parser::check_keywords(const CallArguments& arguments, int line) const {
  std::vector<std::string_view> names;
  names.reserve(arguments.named.size());
  for (const auto& named : arguments.named) names.push_back(named.first);
  std::sort(names.begin(), names.end());
  auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated != names.end()) error("keyword argument repeated: " + std::string(*repeated), line);
}

std::unique_ptr<CallArguments> Parser::parse_arguments() {
  auto arguments = std::make_unique<CallArguments>();
  int line = current().line;
  expect_operator("(");
  for (bool first = true; !at_operator(")"); first = false) {
    if (!first) expect_operator(",");
    if (at_operator(")")) break;
    parse_argument(arguments.get(), line);
  }
  expect_operator(")");
  check_keywords(*arguments, line);
  return arguments;
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  ExprPtr expr = unary_node(ExprKind::kCall, current().line, std::move(callee));
  expr->arguments = parse_arguments();
  return done(std::move(expr));
}

std::string Parser::parse_dotted_name() {
  std::string name = expect_identifier();
  while (skip_operator(".")) name += "." + expect_identifier();
  return name;
}

ExprPtr Parser::parse_filter_chain(ExprPtr value, bool start_inline) {
  while (start_inline || skip_operator("|")) {
    start_inline = false;
    int line = current().line;
    ExprPtr expr = unary_node(ExprKind::kFilter, line, std::move(value));
    expr->text = parse_dotted_name();
    expr->filter = filters().find(expr->text);
    if (expr->filter == nullptr && soft_ == 0)
      unknown_.push_back({"TemplateSyntaxError", "No filter named '" + expr->text + "'.", line});
    expr->arguments = at_operator("(") ? parse_arguments() : std::make_unique<CallArguments>();
    value = done(std::move(expr));
  }
  return value;
}

ExprPtr Parser::parse_test(ExprPtr value) {
  int line = next().line;
  bool negated = skip_name("not");
  ExprPtr expr = unary_node(ExprKind::kTest, line, std::move(value));
  expr->text = parse_dotted_name();
  expr->test = tests().find(expr->text);
  if (expr->test == nullptr && soft_ == 0)
    unknown_.push_back({"TemplateSyntaxError", "No test named '" + expr->text + "'.", line});
  TokenType type = current().type;
  bool literal = type == TokenType::kString || type == TokenType::kInteger || type == TokenType::kFloat ||
                 at_operator("[") || at_operator("{");
  bool name = type == TokenType::kName && !at_name("else") && !at_name("or") && !at_name("and");
  if (at_operator("(")) {
    expr->arguments = parse_arguments();
  } else {
    expr->arguments = std::make_unique<CallArguments>();
    if (at_name("is")) error("You cannot chain multiple tests with is", line);
    if (literal || name) expr->arguments->positional.push_back(parse_postfix(parse_primary(false)));
  }
  expr = done(std::move(expr));
  return negated ? unary_node(ExprKind::kNot, line, std::move(expr)) : std::move(expr);
}

}  // namespace pagoda::jinja
