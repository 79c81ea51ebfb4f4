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

using Filter = Operation<PyValue>;
using Test = Operation<bool>;
using Method = Operation<PyValue>;

}  // namespace pagoda::jinja
