// The tests of `is`, by name.
#pragma once
#include "jinja/builtins/registry.h"
#include "jinja/operation.h"

namespace pagoda::jinja {

const Registry<Test>& tests();

}  // namespace pagoda::jinja
