// A stranger's tokenizer.json; where it loads, what follows behind a NUL is encoded with it and comes back.
#include <cstdint>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view json = all.substr(0, all.find('\0'));
  const auto tokenizer = pagoda::Tokenizer::from_json(json);
  if (!tokenizer.ok()) return 0;
  const std::string_view text =
      json.size() < all.size() ? all.substr(json.size() + 1) : std::string_view("Hello, w\xc3\xb6rld!  12\n");
  std::vector<int32_t> ids;
  (*tokenizer)->encode(text, {.add_special_tokens = true}, &ids);
  for (int32_t id : ids) PAGODA_CHECK(id >= 0 && id < (*tokenizer)->vocab_size(), "an id of the vocabulary");
  PAGODA_CHECK(pagoda::is_valid_utf8((*tokenizer)->decode(ids, false)), "what is decoded is UTF-8");
  pagoda::IncrementalDetokenizer detokenizer(*tokenizer, true);
  ids.push_back(1 << 30);
  ids.push_back(-1);
  for (int32_t id : ids) PAGODA_CHECK(pagoda::is_valid_utf8(detokenizer.push(id)), "a piece is UTF-8");
  (void)detokenizer.finish();
  return 0;
}
