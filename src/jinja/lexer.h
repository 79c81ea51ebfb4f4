// Template text -> tokens, with Jinja's white space control: trim_blocks and lstrip_blocks on,
// keep_trailing_newline off.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 1;
  std::string text;  // data, name, string without quotes and escapes, operator
  int64_t integer = 0;
  double real = 0;

  bool is_operator(std::string_view op) const { return type == TokenType::kOperator && text == op; }
  bool is_name(std::string_view name) const { return type == TokenType::kName && text == name; }
};

// The last token is kEnd. Throws a Fault "TemplateSyntaxError" with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace pagoda::jinja
