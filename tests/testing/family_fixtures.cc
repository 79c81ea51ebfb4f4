#include "tests/testing/family_fixtures.h"

#include <stdexcept>

#include "base/json.h"
#include "base/mmap.h"
#include "tests/testing/test_data.h"

namespace pagoda::testing {
namespace {

std::vector<int32_t> ids_of(const Value* list) {
  std::vector<int32_t> ids;
  for (const Value& id : list->as_array()) ids.push_back(static_cast<int32_t>(id.as_int()));
  return ids;
}

}  // namespace

FamilyFixture read_family_fixture(const std::string& name) {
  FamilyFixture fixture{.folder = source_path("tests/model/families/" + name)};
  Result<std::string> text = read_file(fixture.folder + "/expected.json");
  if (!text.ok()) throw std::runtime_error(text.status().message());
  const Value expected = parse_json(*text).value();
  fixture.max_positions = expected.find("max_positions")->as_int();
  for (const Value& prompt : expected.find("prompts")->as_array())
    fixture.prompts.push_back({ids_of(prompt.find("ids")), ids_of(prompt.find("greedy"))});
  return fixture;
}

}  // namespace pagoda::testing
