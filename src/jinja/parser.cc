#include "jinja/parser.h"

#include <algorithm>

#include "base/utf8.h"

namespace pagoda::jinja {
namespace {

constexpr int kParseDepthMax = 200;
constexpr std::size_t kSourceBytesMax = std::size_t{1} << 20, kParametersMax = 255;

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kEnd:
      return "end of template";
    default:
      return token.text.substr(0, 80);
  }
}

}  // namespace

Parser::Enter::Enter(Parser* parser) : parser_(parser) {
  if (++parser_->depth_ > kParseDepthMax) {
    --parser_->depth_;
    parser_->error("the template nests deeper than " + std::to_string(kParseDepthMax) + " levels",
                   parser_->current().line);
  }
}

void Parser::error(const std::string& message, int line) const {
  throw Fault{"TemplateSyntaxError", message, line};
}

void Parser::unexpected(std::string_view wanted) const {
  if (current().type == TokenType::kEnd)
    error("unexpected end of template, expected '" + std::string(wanted) + "'.", current().line);
  error("expected token '" + std::string(wanted) + "', got '" + describe(current()) + "'", current().line);
}

Token Parser::next() {
  if (pos_ % 256 == 0) fail_if_cancelled();
  Token token = std::move(tokens_[pos_]);
  if (pos_ + 1 < tokens_.size())
    ++pos_;
  else
    tokens_[pos_] = Token{TokenType::kEnd, token.line, {}};
  return token;
}

bool Parser::skip_operator(std::string_view op) {
  if (!at_operator(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) unexpected(op);
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(name);
}

std::string Parser::expect_identifier() {
  if (current().type != TokenType::kName) unexpected("name");
  return next().text;
}

void Parser::expect_block_end() {
  if (current().type != TokenType::kBlockEnd) unexpected("end of statement block");
  next();
}

Symbol Parser::intern(std::string_view name) {
  auto [it, added] = symbols_.try_emplace(std::string(name), static_cast<Symbol>(program_.symbols.size()));
  if (added) program_.symbols.emplace_back(name);
  return it->second;
}

std::unique_ptr<Stmt> Parser::statement(StmtKind kind) const {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = kind;
  stmt->line = current().line;
  return stmt;
}

// Statements up to a tag in `ends`, which is current afterwards; without ends, up to the end of the template.
Body Parser::parse_body(std::initializer_list<std::string_view> ends) {
  Enter enter(this);
  Body body;
  while (true) {
    auto stmt = statement(StmtKind::kText);
    switch (current().type) {
      case TokenType::kData:
        stmt->text = next().text;
        break;
      case TokenType::kVariableBegin:
        next();
        stmt->kind = StmtKind::kPrint;
        stmt->expression = parse_tuple(false, true, TupleEnd::kAny, false, false);
        if (current().type != TokenType::kVariableEnd) unexpected("end of print statement");
        next();
        break;
      case TokenType::kBlockBegin:
        next();
        for (std::string_view end : ends)
          if (at_name(end)) return body;
        stmt = parse_statement();
        expect_block_end();
        break;
      default:
        if (ends.size() != 0)
          error("unexpected end of template: '" + std::string(*ends.begin()) + "' is missing",
                current().line);
        return body;
    }
    body.push_back(std::move(stmt));
  }
}

void Parser::unknown_tag(const Token& tag) const {
  static constexpr std::string_view kRefused[] = {"include", "import", "from", "extends", "autoescape"};
  for (std::string_view refused : kRefused)
    if (tag.text == refused) error("'" + tag.text + "' is not available in a chat template", tag.line);
  error("Encountered unknown tag '" + tag.text.substr(0, 80) + "'.", tag.line);
}

std::unique_ptr<Stmt> Parser::parse_statement() {
  const Token& tag = current();
  if (tag.type != TokenType::kName) error("tag name expected", tag.line);
  if (tag.text == "if") return parse_if();
  if (tag.text == "for") return parse_for();
  if (tag.text == "set") return parse_set();
  if (tag.text == "macro") return parse_macro();
  if (tag.text == "call") return parse_call_block();
  if (tag.text == "filter") return parse_filter_block();
  if (tag.text == "with") return parse_with();
  if (tag.text == "generation" || tag.text == "block")
    return parse_scope(tag.text == "block" ? "block" : "generation");
  if (tag.text == "break") return parse_loop_control(StmtKind::kBreak);
  if (tag.text == "continue") return parse_loop_control(StmtKind::kContinue);
  if (tag.text == "print") {
    next();
    auto stmt = statement(StmtKind::kPrint);
    stmt->expression = parse_tuple(false, true, TupleEnd::kAny, false, false);
    return stmt;
  }
  unknown_tag(tag);
}

std::unique_ptr<Stmt> Parser::parse_if() {
  auto stmt = statement(StmtKind::kIf);
  ++soft_;
  do {
    next();
    ExprPtr condition = parse_tuple(false, false, TupleEnd::kAny, false, false);
    expect_block_end();
    stmt->branches.emplace_back(std::move(condition), parse_body({"endif", "else", "elif"}));
  } while (at_name("elif"));
  if (skip_name("else")) {
    expect_block_end();
    stmt->else_body = parse_body({"endif"});
  }
  expect_name("endif");
  --soft_;
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_for() {
  auto stmt = statement(StmtKind::kFor);
  next();
  stmt->target = parse_tuple(true, true, TupleEnd::kIn, false, false);
  check_target(*stmt->target);
  expect_name("in");
  stmt->expression = parse_tuple(false, false, TupleEnd::kRecursive, false, false);
  if (skip_name("if")) stmt->condition = parse_expression();
  int captures = captures_, loop_names = loop_names_;
  stmt->recursive = skip_name("recursive");
  expect_block_end();
  ++loops_;
  stmt->body = parse_body({"endfor", "else"});
  --loops_;
  if (skip_name("else")) {
    expect_block_end();
    stmt->else_body = parse_body({"endfor"});
  }
  expect_name("endfor");
  stmt->captured = captures_ != captures;
  stmt->uses_loop = stmt->recursive || loop_names_ != loop_names;
  if (stmt->recursive) ++captures_;
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_set() {
  auto stmt = statement(StmtKind::kSet);
  next();
  stmt->target = parse_target(true);
  if (skip_operator("=")) {
    stmt->expression = parse_tuple(false, true, TupleEnd::kAny, false, false);
    return stmt;
  }
  stmt->kind = StmtKind::kSetBlock;
  stmt->expression = parse_filter_chain(nullptr, false);
  expect_block_end();
  int captures = captures_;
  stmt->body = parse_body({"endset"});
  expect_name("endset");
  stmt->captured = captures_ != captures;
  return stmt;
}

void Parser::parse_signature(Macro* macro) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!macro->parameters.empty()) expect_operator(",");
    int line = current().line;
    std::string name = expect_identifier();
    Symbol symbol = intern(name);
    if (std::find(macro->parameters.begin(), macro->parameters.end(), symbol) != macro->parameters.end())
      error("the parameter '" + name + "' occurs twice", line);
    if (macro->parameters.size() >= kParametersMax)
      error("a macro has more than " + std::to_string(kParametersMax) + " parameters", line);
    macro->parameters.push_back(symbol);
    macro->parameter_names.push_back(std::move(name));
    if (skip_operator("="))
      macro->defaults.push_back(parse_expression());
    else if (!macro->defaults.empty())
      error("non-default argument follows default argument", line);
  }
  expect_operator(")");
}

void Parser::parse_macro_body(Macro* macro, std::string_view end) {
  expect_block_end();
  int captures = captures_, loops = std::exchange(loops_, 0);
  macros_.push_back(macro);
  macro->body = parse_body({end});
  macros_.pop_back();
  if (!macros_.empty()) {  // what is used within is used without
    macros_.back()->uses_caller |= macro->uses_caller;
    macros_.back()->uses_varargs |= macro->uses_varargs;
    macros_.back()->uses_kwargs |= macro->uses_kwargs;
  }
  loops_ = loops;
  expect_name(end);
  macro->captured = captures_ != captures;
  ++captures_;
}

std::unique_ptr<Stmt> Parser::parse_macro() {
  auto stmt = statement(StmtKind::kMacro);
  next();
  stmt->macro = std::make_unique<Macro>();
  stmt->macro->name = expect_identifier();
  stmt->macro->symbol = intern(stmt->macro->name);
  parse_signature(stmt->macro.get());
  parse_macro_body(stmt->macro.get(), "endmacro");
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_call_block() {
  auto stmt = statement(StmtKind::kCallBlock);
  next();
  stmt->macro = std::make_unique<Macro>();
  stmt->macro->name = "caller";
  if (at_operator("(")) parse_signature(stmt->macro.get());
  stmt->expression = parse_expression();
  if (stmt->expression->kind != ExprKind::kCall) error("expected call", stmt->line);
  parse_macro_body(stmt->macro.get(), "endcall");
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_filter_block() {
  auto stmt = statement(StmtKind::kFilterBlock);
  next();
  stmt->expression = parse_filter_chain(nullptr, true);
  expect_block_end();
  int captures = captures_;
  stmt->body = parse_body({"endfilter"});
  expect_name("endfilter");
  stmt->captured = captures_ != captures;
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_with() {
  auto stmt = statement(StmtKind::kWith);
  next();
  while (current().type != TokenType::kBlockEnd) {
    if (!stmt->targets.empty()) expect_operator(",");
    stmt->targets.push_back(parse_target(false));
    expect_operator("=");
    stmt->values.push_back(parse_expression());
  }
  next();
  int captures = captures_;
  stmt->body = parse_body({"endwith"});
  expect_name("endwith");
  stmt->captured = captures_ != captures;
  return stmt;
}

// `generation` marks the assistant's answer for training; `block` without inheritance is just a scope.
std::unique_ptr<Stmt> Parser::parse_scope(std::string_view tag) {
  auto stmt = statement(StmtKind::kScope);
  next();
  if (tag == "block") {
    expect_identifier();
    while (at_name("scoped") || at_name("required")) next();
  }
  expect_block_end();
  int captures = captures_;
  std::string end = "end" + std::string(tag);
  stmt->body = parse_body({end});
  expect_name(end);
  if (tag == "block" && current().type == TokenType::kName) next();
  stmt->captured = captures_ != captures;
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_loop_control(StmtKind kind) {
  auto stmt = statement(kind);
  if (loops_ == 0) error("'" + current().text + "' outside loop", current().line);
  next();
  return stmt;
}

Program Parser::run() {
  program_.loop = intern("loop");
  program_.caller = intern("caller");
  program_.varargs = intern("varargs");
  program_.kwargs = intern("kwargs");
  program_.body = parse_body({});
  if (!unknown_.empty()) throw unknown_.front();
  return std::move(program_);
}

Program parse_program(std::string_view source) {
  if (source.size() > kSourceBytesMax)
    fail("TemplateSyntaxError", "the template is larger than " + std::to_string(kSourceBytesMax) + " bytes");
  std::string clean = is_valid_utf8(source) ? std::string(source) : sanitize_utf8(source);
  return Parser(tokenize(clean)).run();
}

}  // namespace pagoda::jinja
