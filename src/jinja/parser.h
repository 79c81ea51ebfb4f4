// Tokens -> Program. Recursive descent after Jinja's own grammar (note that `~` binds tighter than `+`, and
// that unary minus binds tighter than `**`), with the nesting of the source bounded. Unknown filters and
// tests are errors here unless they stand in an `if`, where they are faults when they are reached.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace pagoda::jinja {

// Throws a Fault "TemplateSyntaxError" with the line.
Program parse_program(std::string_view source);

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Program run();

 private:
  // Counts how deep the parser's own recursion goes.
  class Enter {
   public:
    explicit Enter(Parser* parser);
    ~Enter() { --parser_->depth_; }
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

   private:
    Parser* parser_;
  };

  // Token stream.
  const Token& current() const { return tokens_[pos_]; }
  const Token& look() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  Token next();
  bool at_operator(std::string_view op) const { return current().is_operator(op); }
  bool at_name(std::string_view name) const { return current().is_name(name); }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_identifier();
  void expect_block_end();
  [[noreturn]] void error(const std::string& message, int line) const;
  [[noreturn]] void unexpected(std::string_view wanted) const;
  Symbol intern(std::string_view name);

  // Statements (parser.cc).
  Body parse_body(std::initializer_list<std::string_view> ends);
  std::unique_ptr<Stmt> parse_statement();
  std::unique_ptr<Stmt> statement(StmtKind kind) const;
  std::unique_ptr<Stmt> parse_if();
  std::unique_ptr<Stmt> parse_for();
  std::unique_ptr<Stmt> parse_set();
  std::unique_ptr<Stmt> parse_macro();
  std::unique_ptr<Stmt> parse_call_block();
  std::unique_ptr<Stmt> parse_filter_block();
  std::unique_ptr<Stmt> parse_with();
  std::unique_ptr<Stmt> parse_scope(std::string_view tag);
  std::unique_ptr<Stmt> parse_loop_control(StmtKind kind);
  void parse_macro_body(Macro* macro, std::string_view end);
  void parse_signature(Macro* macro);
  [[noreturn]] void unknown_tag(const Token& tag) const;

  // Expressions (expr_parser.cc).
  ExprPtr make(ExprKind kind, int line) const;
  // Fixes the depth of a finished node.
  ExprPtr done(ExprPtr expr) const;
  ExprPtr unary_node(ExprKind kind, int line, ExprPtr operand) const;
  ExprPtr pair_node(ExprKind kind, int line, ExprPtr left, ExprPtr right) const;
  ExprPtr parse_target(bool with_namespace);
  void check_target(const Expr& target) const;
  enum class TupleEnd { kAny, kIn, kRecursive };
  ExprPtr parse_tuple(bool simplified, bool with_condition, TupleEnd end, bool parenthesized,
                      bool with_namespace);
  bool at_tuple_end(TupleEnd end) const;
  ExprPtr parse_expression(bool with_condition = true);
  ExprPtr parse_condition();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  bool parse_compare_op(CompareOp* op);
  ExprPtr parse_add();
  ExprPtr parse_concat();
  ExprPtr parse_multiply();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_primary(bool with_namespace);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_string();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filters(ExprPtr expr);
  ExprPtr parse_subscript(ExprPtr object);
  ExprPtr parse_index(ExprPtr object);
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filter_chain(ExprPtr value, bool start_inline);
  ExprPtr parse_test(ExprPtr value);
  std::string parse_dotted_name();
  std::unique_ptr<CallArguments> parse_arguments();
  void parse_argument(CallArguments* arguments, int line);
  void check_keywords(const CallArguments& arguments, int line) const;

  std::vector<Token> tokens_;
  std::size_t pos_ = 0;
  int depth_ = 0;
  int soft_ = 0;                // inside of an `if`
  int loops_ = 0;               // inside of so many loops of the current macro
  int captures_ = 0;            // macros, callers and recursive loops seen so far
  int loop_names_ = 0;          // uses of `loop` seen so far
  std::vector<Fault> unknown_;  // filters and tests that do not exist and that no `if` guards
  std::vector<Macro*> macros_;  // whose bodies this is in
  std::unordered_map<std::string, Symbol, KeyHash> symbols_;
  Program program_;
};

}  // namespace pagoda::jinja
