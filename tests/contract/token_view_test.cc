#include "contract/token_view.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

using Tokens = std::vector<TokenId>;

TEST(TokenView, ReadsPromptAndOutputAsOneList) {
  const Tokens all = {1, 2, 3, 4, 5, 6, 7};
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    const std::span<const TokenId> tokens = all;
    const TokenView view(tokens.first(cut), tokens.subspan(cut));
    ASSERT_EQ(view.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(view[i], all[i]) << cut;
    for (std::size_t begin = 0; begin <= all.size(); ++begin)
      for (std::size_t count = 0; begin + count <= all.size(); ++count) {
        const Tokens expected(all.begin() + static_cast<long>(begin),
                              all.begin() + static_cast<long>(begin + count));
        Tokens scratch{99}, appended{8, 9};
        const auto slice = view.slice(begin, count, &scratch);
        EXPECT_EQ(Tokens(slice.begin(), slice.end()), expected) << cut << " " << begin << " " << count;
        view.append_to(&appended, begin, count);
        EXPECT_EQ(Tokens(appended.begin() + 2, appended.end()), expected) << cut << " " << begin;
      }
  }
}

TEST(TokenView, CopiesNothingThatLiesInOnePart) {
  const Tokens prompt = {1, 2, 3}, output = {4, 5};
  const TokenView view(prompt, output);
  Tokens scratch;
  EXPECT_EQ(view.slice(1, 2, &scratch).data(), prompt.data() + 1);
  EXPECT_EQ(view.slice(3, 2, &scratch).data(), output.data());
  EXPECT_TRUE(scratch.empty());
}

}  // namespace
}  // namespace pagoda
