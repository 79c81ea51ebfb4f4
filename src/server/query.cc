#include "server/query.h"

#include <fmt/format.h>

#include <algorithm>

#include "openai/lax_values.h"

namespace pagoda {
namespace {

std::string query_place(const char* name) {
  return std::string("query.") + name;
}

Status check_choice(const std::string& value, const char* name, const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  return invalid_argument(fmt::format("{}: Input should be one of {}, {}", name, fmt::join(choices, ", "),
                                      describe_value(Value(value))),
                          query_place(name));
}

}  // namespace

std::vector<std::string> query_values(std::string_view query, std::string_view name) {
  std::vector<std::string> values;
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) values.emplace_back(pair.substr(std::min(equals + 1, pair.size())));
  }
  return values;
}

Result<std::string> query_choice(const HttpRequest& request, const char* name, std::string otherwise,
                                 const std::vector<std::string>& choices) {
  std::vector<std::string> values = query_values(request.query, name);
  if (values.empty()) return otherwise;
  PAGODA_RETURN_IF_ERROR(check_choice(values.back(), name, choices));
  return std::move(values.back());
}

Result<int64_t> query_int(const HttpRequest& request, const char* name, int64_t otherwise, int64_t low,
                          int64_t high) {
  std::vector<std::string> values = query_values(request.query, name);
  if (values.empty()) return otherwise;
  Result<int64_t> number = parse_integer(Value(values.back()), low, high, name);
  if (!number.ok()) return invalid_argument(number.status().message(), query_place(name));
  return number;
}

Result<bool> query_bool(const HttpRequest& request, const char* name, bool otherwise) {
  std::vector<std::string> values = query_values(request.query, name);
  if (values.empty()) return otherwise;
  Result<bool> flag = parse_bool(Value(values.back()), name);
  if (!flag.ok()) return invalid_argument(flag.status().message(), query_place(name));
  return flag;
}

Result<std::vector<std::string>> query_choices(const HttpRequest& request, const char* name,
                                               const std::vector<std::string>& choices) {
  std::vector<std::string> values = query_values(request.query, name);
  for (const std::string& value : values) PAGODA_RETURN_IF_ERROR(check_choice(value, name, choices));
  return values;
}

}  // namespace pagoda
