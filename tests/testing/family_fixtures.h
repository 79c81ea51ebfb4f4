// tests/model/families/: tiny random checkpoints of each model family, and what transformers computes from
// them (tools/make_family_fixtures.py).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace pagoda::testing {

// Folders that are tested.
inline constexpr const char* kFamilies[] = {"llama",
                                            "mistral",
                                            "mixtral",
                                            "qwen2",
                                            "qwen2_window",
                                            "qwen3",
                                            "phi3",
                                            "phi4",
                                            "phi3_longrope_short",
                                            "phi3_longrope_long",
                                            "gemma2",
                                            "gemma3",
                                            "olmo2",
                                            "granite"};

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
