// tests/model/families/: tiny random checkpoints of each model family, and what transformers computes from
// them (tools/make_family_fixtures.py).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace pagoda::testing {

// Folders that are tested.
inline constexpr const char* kFamilies[] = {"llama", "mistral"};

struct FamilyPrompt {
  std::vector<int32_t> ids;
  std::vector<int32_t> greedy;  // that follow
};
struct FamilyFixture {
  std::string folder;
  int64_t max_positions = 0;  // what the model is loaded for
  std::vector<FamilyPrompt> prompts;
};

// Throws where the files are not as the tool writes them.
FamilyFixture read_family_fixture(const std::string& name);

}  // namespace pagoda::testing
