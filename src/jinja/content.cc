#include "jinja/content.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"

namespace pagoda::jinja {
namespace {

// What a value may be.
enum : unsigned { kMessages = 1, kMessage = 2, kContent = 4, kPart = 8 };

class ContentReader {
 public:
  explicit ContentReader(const Program& program) : program_(program), symbols_(program.symbols.size(), 0) {
    for (std::size_t i = 0; i < symbols_.size(); ++i)
      if (program.symbols[i] == "messages") symbols_[i] = kMessages;
  }

  // Later statements may tell what earlier ones read (macros before their calls), so the walk repeats while
  // it learns.
  ContentUse run() {
    for (int pass = 0; pass < 6; ++pass) {
      learned_ = false;
      walk(program_.body);
      if (!learned_) break;
    }
    return {loops_ || (reads_ && !takes_strings_), takes_strings_};
  }

 private:
  void learn(Symbol symbol, unsigned kinds) {
    unsigned& known = symbols_[static_cast<std::size_t>(symbol)];
    if ((known | kinds) == known) return;
    known |= kinds;
    learned_ = true;
  }

  static bool is_text(const Expr& expr, std::string_view text) {
    return expr.kind == ExprKind::kConst && expr.value.is_string() && expr.value.text() == text;
  }

  // The elements of a value.
  static unsigned elements(unsigned kinds) {
    return (kinds & kMessages ? kMessage : 0u) | (kinds & kContent ? kPart : 0u);
  }

  unsigned member(unsigned object, bool is_content) {
    if (object & kPart) reads_ = true;  // content[0].text
    return (object & kMessage) && is_content ? kContent : 0u;
  }

  unsigned walk_all(const Expr& expr) {
    unsigned kinds = 0;
    for (const ExprPtr& item : expr.items)
      if (item) kinds |= walk(*item);
    return kinds;
  }

  unsigned walk_item(const Expr& expr) {
    unsigned object = walk(*expr.items[0]);
    const Expr& key = *expr.items[1];
    walk(key);
    if (key.kind == ExprKind::kConst && key.value.is_string()) return member(object, is_text(key, "content"));
    return elements(object);
  }

  unsigned walk_filter(const Expr& expr) {
    unsigned value = expr.items[0] ? walk(*expr.items[0]) : 0u;
    walk_arguments(*expr.arguments);
    const std::string& name = expr.text;
    if (name == "first" || name == "last") return elements(value);
    bool by_attribute = name == "selectattr" || name == "rejectattr" || name == "map" || name == "groupby";
    if (by_attribute && (value & kContent)) reads_ = true;
    return name == "length" || name == "tojson" || name == "string" ? 0u : value;
  }

  unsigned walk_call(const Expr& expr) {
    const Expr& callee = *expr.items[0];
    const CallArguments& arguments = *expr.arguments;
    unsigned object = callee.kind == ExprKind::kAttribute ? walk(*callee.items[0]) : walk(callee);
    std::vector<unsigned> given = walk_arguments(arguments);
    if (callee.kind == ExprKind::kAttribute && callee.text == "get" && !arguments.positional.empty())
      return member(object, is_text(*arguments.positional[0], "content"));
    if (callee.kind != ExprKind::kName) return 0;
    auto macro = macros_.find(callee.symbol);
    if (macro == macros_.end()) return 0;
    const std::vector<Symbol>& parameters = macro->second.in_order;
    std::size_t positional = arguments.positional.size();
    for (std::size_t i = 0; i < std::min(positional, parameters.size()); ++i) learn(parameters[i], given[i]);
    for (std::size_t i = 0; i < arguments.named.size(); ++i) {
      auto parameter = macro->second.by_name.find(arguments.named[i].first);
      if (parameter != macro->second.by_name.end()) learn(parameter->second, given[positional + i]);
    }
    return 0;
  }

  // The positional ones, then the named ones. Nothing is walked twice: calls nest.
  std::vector<unsigned> walk_arguments(const CallArguments& arguments) {
    std::vector<unsigned> kinds;
    for (const ExprPtr& argument : arguments.positional) kinds.push_back(walk(*argument));
    for (const auto& [name, argument] : arguments.named) kinds.push_back(walk(*argument));
    if (arguments.star) walk(*arguments.star);
    if (arguments.double_star) walk(*arguments.double_star);
    return kinds;
  }

  unsigned walk(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::kName:
        return symbols_[static_cast<std::size_t>(expr.symbol)];
      case ExprKind::kAttribute:
        return member(walk(*expr.items[0]), expr.text == "content");
      case ExprKind::kItem:
        return walk_item(expr);
      case ExprKind::kFilter:
        return walk_filter(expr);
      case ExprKind::kCall:
        return walk_call(expr);
      case ExprKind::kTest:
        if ((walk_all(expr) & kContent) && expr.text == "string") takes_strings_ = true;
        walk_arguments(*expr.arguments);
        return 0;
      case ExprKind::kCondition: {
        walk(*expr.items[0]);
        return walk(*expr.items[1]) | (expr.items[2] ? walk(*expr.items[2]) : 0u);
      }
      case ExprKind::kSlice: {
        unsigned object = walk(*expr.items[0]);
        for (std::size_t i = 1; i < expr.items.size(); ++i)
          if (expr.items[i]) walk(*expr.items[i]);
        return object;
      }
      case ExprKind::kAnd:
      case ExprKind::kOr:
        return walk_all(expr);
      case ExprKind::kBinary:
        return walk_all(expr) & kMessages;
      default:
        walk_all(expr);
        return 0;
    }
  }

  // What vLLM sees as a loop over content: `message.content`, a variable of that name, or a parameter;
  // filtered or sliced or not.
  bool names_content(const Expr& expr) const {
    switch (expr.kind) {
      case ExprKind::kFilter:
      case ExprKind::kSlice:
        return expr.items[0] && names_content(*expr.items[0]);
      case ExprKind::kAttribute:
        return expr.text == "content";
      case ExprKind::kItem:
        return is_text(*expr.items[1], "content");
      case ExprKind::kName:
        return expr.text == "content" || parameters_.contains(expr.symbol);
      default:
        return false;
    }
  }

  void walk(const Body& body) {
    for (const auto& stmt : body) walk(*stmt);
  }

  void walk(const Stmt& stmt) {
    unsigned value = stmt.expression ? walk(*stmt.expression) : 0u;
    if (stmt.kind == StmtKind::kFor) {
      if (value & kContent) (names_content(*stmt.expression) ? loops_ : reads_) = true;
      if (stmt.target->kind == ExprKind::kName) learn(stmt.target->symbol, elements(value));
    }
    if (stmt.kind == StmtKind::kSet && stmt.target->kind == ExprKind::kName)
      learn(stmt.target->symbol, value);
    for (std::size_t i = 0; i < stmt.targets.size(); ++i) {
      unsigned kinds = walk(*stmt.values[i]);
      if (stmt.targets[i]->kind == ExprKind::kName) learn(stmt.targets[i]->symbol, kinds);
    }
    if (stmt.condition) walk(*stmt.condition);
    for (const auto& [condition, body] : stmt.branches) {
      walk(*condition);
      walk(body);
    }
    if (stmt.macro) {
      if (stmt.kind == StmtKind::kMacro && macros_.try_emplace(stmt.macro->symbol, *stmt.macro).second)
        learned_ = true;
      parameters_.insert(stmt.macro->parameters.begin(), stmt.macro->parameters.end());
      for (const ExprPtr& value_of_parameter : stmt.macro->defaults) walk(*value_of_parameter);
      walk(stmt.macro->body);
    }
    walk(stmt.body);
    walk(stmt.else_body);
  }

  struct Parameters {
    explicit Parameters(const Macro& macro) : in_order(macro.parameters) {
      for (std::size_t i = 0; i < in_order.size(); ++i)
        by_name.emplace(macro.parameter_names[i], in_order[i]);
    }
    const std::vector<Symbol>& in_order;
    std::unordered_map<std::string_view, Symbol, KeyHash> by_name;
  };

  const Program& program_;
  std::vector<unsigned> symbols_;
  std::unordered_map<Symbol, Parameters> macros_;  // by name
  std::set<Symbol> parameters_;                    // of macros
  bool loops_ = false;                             // over the parts of a message
  bool reads_ = false;                             // takes a part in some other way
  bool takes_strings_ = false;                     // asks whether the content is a string
  bool learned_ = false;
};

}  // namespace

ContentUse content_use(const Program& program) {
  return ContentReader(program).run();
}

}  // namespace pagoda::jinja
