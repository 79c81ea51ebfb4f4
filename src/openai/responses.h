// Answers that are not generated, as compact JSON.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "contract/types.h"

namespace pagoda {

// {"detail": ...}: what the web framework under vLLM says of a request that reaches none of its routes.
std::string write_detail(const std::string& detail);

struct ModelCard {
  std::string id, root;
  int64_t created = 0;
  int32_t max_model_len = 0;
};
std::string write_models(const std::vector<ModelCard>& cards);
std::string write_model(const ModelCard& card);

struct TokenizeAnswer {
  int32_t max_model_len = 0;
  std::vector<TokenId> tokens;
  bool with_strings = false;
  std::vector<std::string_view> token_strings;
};
std::string write_tokenize_response(const TokenizeAnswer& answer);
std::string write_detokenize_response(const std::string& prompt);

}  // namespace pagoda
