#include "cli/environment.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/env.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/flags.h"

namespace pagoda {
namespace {

const VariableSpec* find_variable(std::string_view name) {
  for (const VariableSpec& spec : variable_table())
    if (name == spec.name) return &spec;
  return nullptr;
}

Status wrong(const char* name, const std::string& wanted, const std::string& text) {
  return invalid_argument("the variable " + std::string(name) + " must be " + wanted + ", not '" + text + "'",
                          name);
}

// What Kubernetes sets in every pod for a service that is called vllm or vllm-...
bool is_service_link(std::string_view name, std::string_view value) {
  return name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string_view::npos ||
         name.find("_TCP") != std::string_view::npos ||
         (name.ends_with("_PORT") && value.find("://") != std::string_view::npos);
}

}  // namespace

std::optional<std::string> variable_text(const char* name) {
  const VariableSpec* spec = find_variable(name);
  PAGODA_CHECK(spec != nullptr && spec->is_read, "the table of variables tells which are read");
  std::optional<std::string> text = environment(name);
  return text && text->empty() ? std::nullopt : text;
}

Result<std::optional<int64_t>> variable_int(const char* name, int64_t low, int64_t high) {
  const std::optional<std::string> text = variable_text(name);
  if (!text) return std::optional<int64_t>();
  Result<int64_t> value = parse_human_int(*text);
  if (!value.ok() || *value < low || *value > high)
    return wrong(name, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), *text);
  return std::optional<int64_t>(*value);
}

Result<std::optional<double>> variable_real(const char* name, double low, double high) {
  const std::optional<std::string> text = variable_text(name);
  if (!text) return std::optional<double>();
  double value = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || !(value >= low && value <= high))
    return wrong(name, "a number from " + python_float_repr(low) + " to " + python_float_repr(high), *text);
  return std::optional<double>(value);
}

Result<bool> variable_switch(const char* name, bool otherwise) {
  std::string text = variable_text(name).value_or("");
  if (text.empty()) return otherwise;
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (text == "1" || text == "true") return true;
  if (text == "0" || text == "false") return false;
  return wrong(name, "1 or 0", text);
}

Result<bool> variable_truth(const char* name, bool otherwise) {
  const std::string text = variable_text(name).value_or("");
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() && error == std::errc() && end == text.data() + text.size()) return number != 0;
  return variable_switch(name, otherwise);
}

Status report_variables(bool refuse_unknown) {
  for (const std::string& name : environment_names("VLLM_")) {
    const VariableSpec* spec = find_variable(name);
    if (spec != nullptr && spec->is_read) continue;
    if (is_service_link(name, environment(name.c_str()).value_or(""))) {
      log_info("{} comes from a Kubernetes service of that name: it changes nothing.", name);
    } else if (spec != nullptr) {
      log_info("{} is set and changes nothing here{}.", name,
               *spec->note == 0 ? "" : ": " + std::string(spec->note));
    } else if (refuse_unknown) {
      return invalid_argument(
          "neither vLLM nor Pagoda has a variable " + name + " (--fail-on-environ-validation refuses such)",
          name);
    } else {
      log_warning("{} is set, but neither vLLM nor Pagoda has such a variable.", name);
    }
  }
  return {};
}

}  // namespace pagoda
