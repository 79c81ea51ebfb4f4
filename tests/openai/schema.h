#pragma once
#include <string>
#include <vector>

#include "base/value.h"

namespace pagoda::testing {

// A structural check against an OpenAPI document: $ref, type, nullable, enum, required, properties,
// additionalProperties (as a schema), items, anyOf, oneOf, allOf. Enough to tell whether a client generated
// from the document can read an answer; formats and bounds are not looked at.
class SchemaChecker {
 public:
  explicit SchemaChecker(const Value* document) : document_(document) {}
  // The first thing wrong, or empty. `name` of components/schemas.
  std::string check(const Value& value, const std::string& name) const;

 private:
  std::string check(const Value& value, const Value& schema, const std::string& where) const;
  std::string check_object(const Value& value, const Value& schema, const std::string& where) const;
  std::string check_any(const Value& value, const Array& options, const std::string& where) const;
  const Value* document_;
};

}  // namespace pagoda::testing
