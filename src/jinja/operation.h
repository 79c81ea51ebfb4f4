// The door to filters, tests and methods.
#pragma once
#include <cstddef>

#include "jinja/value.h"

namespace pagoda::jinja {

// Charges for reading all text among the operands of a call, and for the operands themselves.
void charge_operands(Interpreter& interpreter, const PyValue& self, const Arguments& arguments);

// A filter, test or method as templates call it. What an operation is given is charged here, so that none can
// be had for less than its operands' length; what it does beyond reading them a few times it charges itself.
template <class Result>
class Operation {
 public:
  using Body = Result (*)(Interpreter& interpreter, const PyValue& self, Arguments& arguments);
  constexpr Operation() = default;
  constexpr Operation(std::nullptr_t) {}           // NOLINT: implicit on purpose, also the next
  constexpr Operation(Body body) : body_(body) {}  // NOLINT
  // One that looks at the kind of its operand only.
  static constexpr Operation constant(Body body) {
    Operation operation(body);
    operation.constant_ = true;
    return operation;
  }
  constexpr bool operator==(std::nullptr_t) const { return body_ == nullptr; }
  constexpr explicit operator bool() const { return body_ != nullptr; }
  Result operator()(Interpreter& interpreter, const PyValue& self, Arguments& arguments) const {
    if (!constant_) charge_operands(interpreter, self, arguments);
    return body_(interpreter, self, arguments);
  }

 private:
  Body body_ = nullptr;
  bool constant_ = false;
};

template <class Result>
struct Named {
  std::string_view name;
  Operation<Result> operation;
};

template <class Result, std::size_t N>
constexpr Operation<Result> find_in(const Named<Result> (&operations)[N], std::string_view name) {
  for (const Named<Result>& named : operations)
    if (named.name == name) return named.operation;
  return nullptr;
}

template <class Result, std::size_t N>
void add_names(const Named<Result> (&operations)[N], std::vector<std::string_view>* names) {
  for (const Named<Result>& named : operations) names->push_back(named.name);
}

}  // namespace pagoda::jinja
