#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace pagoda {

// The name under which the built-in model is served and asked for.
inline constexpr const char* kDemoModelName = "pagoda-demo";

// A file of demo/model as it was at build time, from the binary itself; nullopt if there is none of that
// name.
std::optional<std::string_view> demo_file(std::string_view name);

}  // namespace pagoda
