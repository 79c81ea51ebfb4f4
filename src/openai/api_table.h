// The API as data: its routes, and the fields of the bodies that they take. /openapi.json and /docs are made
// of it.
#pragma once
#include <span>

namespace pagoda {

struct ApiRoute {
  const char *method, *path, *summary;
  const char* body = "";    // name of the object that it takes; "" for none
  const char* answer = "";  // media type besides application/json
};
// Paths may end in "/*", as in the router.
std::span<const ApiRoute> api_routes();

struct ApiField {
  const char *body, *name;
  // string, integer, number, boolean, array, object, or several with a bar between.
  const char *type, *help;
  bool required = false;
};
std::span<const ApiField> api_fields();

}  // namespace pagoda
