// All of a request in one value, for tests that put it together.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "frontend/intake.h"

namespace pagoda::testing {

struct Question : GenerateRequest, ResponseShape, RequestContext {};

inline Result<OutputStream> admit(Intake* intake, Question asked, std::function<void()> wake) {
  auto shape = std::make_shared<const ResponseShape>(static_cast<const ResponseShape&>(asked));
  RequestContext context = static_cast<const RequestContext&>(asked);
  return intake->admit(std::move(static_cast<GenerateRequest&>(asked)), std::move(shape), std::move(context),
                       std::move(wake));
}

}  // namespace pagoda::testing
