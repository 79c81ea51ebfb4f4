#include "jinja/operation.h"

#include "jinja/eval.h"

namespace pagoda::jinja {

void charge_operands(Interpreter& interpreter, const PyValue& self, const Arguments& arguments) {
  std::size_t bytes = self.is_string() ? self.text().size() : 0;
  for (const PyValue& value : arguments.positional)
    if (value.is_string()) bytes += value.text().size();
  for (const auto& [name, value] : arguments.named)
    if (value.is_string()) bytes += value.text().size();
  interpreter.budget().charge_reading(bytes);
  interpreter.budget().charge(static_cast<int64_t>(arguments.positional.size() + arguments.named.size()));
}

}  // namespace pagoda::jinja
