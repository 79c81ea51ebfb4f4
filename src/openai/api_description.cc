#include "openai/api_description.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "openai/api_table.h"

namespace pagoda {
namespace {

constexpr std::string_view kShared = "GenerationFields";  // those of chats and texts alike

Value object(std::initializer_list<std::pair<const char*, Value>> members) {
  Object out;
  for (const auto& [key, value] : members) out.append(key, value);
  return out;
}

const ApiRoute* find_route(const ServedRoute& served) {
  for (const ApiRoute& route : api_routes())
    if (served.method == route.method && served.path == route.path) return &route;
  return nullptr;
}

bool takes(std::string_view body, const ApiField& field) {
  return field.body == body ||
         (field.body == kShared && (body == "ChatCompletionRequest" || body == "CompletionRequest"));
}

Value type_of(std::string_view type) {
  if (type.find('|') == std::string_view::npos) return std::string(type);
  Array types;
  for (std::size_t bar; !type.empty(); type.remove_prefix(std::min(bar + 1, type.size()))) {
    bar = std::min(type.find('|'), type.size());
    types.emplace_back(std::string(type.substr(0, bar)));
  }
  return types;
}

Value schema_of(std::string_view body) {
  Object properties;
  Array required;
  for (const ApiField& field : api_fields()) {
    if (!takes(body, field)) continue;
    properties.append(field.name, object({{"type", type_of(field.type)}, {"description", field.help}}));
    if (field.required) required.emplace_back(field.name);
  }
  Object schema;
  schema.append("type", "object");
  schema.append("properties", std::move(properties));
  if (!required.empty()) schema.append("required", std::move(required));
  return schema;
}

Value reference_to(std::string_view schema) {
  return object({{"$ref", "#/components/schemas/" + std::string(schema)}});
}

Value in_media(std::string_view media, Value schema) {
  Object content;
  content.append(std::string(media), object({{"schema", std::move(schema)}}));
  return object({{"content", std::move(content)}});
}

// "get_v1_models".
std::string operation_id(const ApiRoute& route) {
  std::string id = route.method;
  for (char c : std::string_view(route.path))
    id += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  std::ranges::transform(id, id.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return id;
}

Value operation(const ApiRoute& route, bool needs_key) {
  Object out;
  out.append("summary", route.summary);
  out.append("operationId", operation_id(route));
  if (std::string_view(route.path).ends_with("/*"))
    out.append("parameters", Array{object({{"name", "name"},
                                           {"in", "path"},
                                           {"required", true},
                                           {"schema", object({{"type", "string"}})}})});
  if (*route.body != 0) {
    Value body = in_media("application/json", reference_to(route.body));
    body.as_object().append("required", true);
    out.append("requestBody", std::move(body));
  }
  Object content;
  if (*route.answer == 0 || *route.body != 0) content.append("application/json", object({}));
  if (*route.answer != 0) content.append(route.answer, object({}));
  Object responses;
  responses.append("200", object({{"description", "The answer"}, {"content", std::move(content)}}));
  Value error = in_media("application/json", reference_to("ErrorResponse"));
  error.as_object().append("description", "An error");
  responses.append("default", std::move(error));
  out.append("responses", std::move(responses));
  if (needs_key) out.append("security", Array{object({{"key", Array()}})});
  return out;
}

Value error_schema() {
  const Value text = object({{"type", "string"}}), text_or_null = object({{"type", Array{"string", "null"}}});
  const Value error = object({{"type", "object"},
                              {"properties", object({{"message", text},
                                                     {"type", text},
                                                     {"param", text_or_null},
                                                     {"code", object({{"type", "integer"}})}})}});
  return object({{"type", "object"}, {"properties", object({{"error", error}})}});
}

bool has_keys(const ServedApi& api) {
  return std::ranges::any_of(api.routes, &ServedRoute::needs_key);
}

std::string openapi_path(std::string path) {
  if (path.ends_with("/*")) path.replace(path.size() - 1, 1, "{name}");
  return path;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '&' || c == '<' || c == '>' || c == '"')
      out += "&#" + std::to_string(static_cast<int>(c)) + ';';
    else
      out += c;
  }
  return out;
}

void write_fields(std::string_view body, std::string* out) {
  *out += "<table><tr><th>field</th><th>type</th><th></th></tr>\n";
  for (const ApiField& field : api_fields())
    if (takes(body, field))
      *out += "<tr><td><code>" + escaped(field.name) + "</code>" + (field.required ? " *" : "") +
              "</td><td>" + escaped(field.type) + "</td><td>" + escaped(field.help) + "</td></tr>\n";
  *out += "</table>\n";
}

}  // namespace

Value describe_api(const ServedApi& api) {
  Object paths, schemas;
  for (const ServedRoute& served : api.routes) {
    const ApiRoute* route = find_route(served);
    if (route == nullptr) continue;
    const std::string path = openapi_path(route->path);
    Value* methods = paths.find(path);
    if (methods == nullptr) methods = &paths.set(path, Object());
    std::string method = route->method;
    std::ranges::transform(method, method.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    methods->as_object().set(method, operation(*route, served.needs_key));
    if (*route->body != 0) schemas.set(route->body, schema_of(route->body));
  }
  schemas.set("ErrorResponse", error_schema());
  Object components;
  components.append("schemas", std::move(schemas));
  if (has_keys(api))
    components.append("securitySchemes", object({{"key", object({{"type", "http"}, {"scheme", "bearer"}})}}));
  return object({{"openapi", "3.1.0"},
                 {"info", object({{"title", "Pagoda"}, {"version", api.version}})},
                 {"paths", std::move(paths)},
                 {"components", std::move(components)}});
}

std::string describe_api_as_html(const ServedApi& api) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pagoda</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<style>body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
      "td,th{text-align:left;vertical-align:top;padding:.15em 1em .15em 0}summary{padding:.3em 0}</style>\n"
      "</head><body>\n<h1>Pagoda " +
      escaped(api.version) +
      "</h1>\n<p>What this server answers; for programs: <a href=\"openapi.json\">openapi.json</a>.";
  if (has_keys(api)) out += " Routes with a key want <code>Authorization: Bearer KEY</code>.";
  out += " Fields with * must be there.</p>\n";
  for (const ServedRoute& served : api.routes) {
    const ApiRoute* route = find_route(served);
    if (route == nullptr) continue;
    const std::string head = std::string("<code>") + route->method + ' ' +
                             escaped(openapi_path(route->path)) + "</code> " + escaped(route->summary) +
                             (served.needs_key ? " (key)" : "");
    if (*route->body == 0) {
      out += "<p>" + head + "</p>\n";
      continue;
    }
    out += "<details><summary>" + head + "</summary>\n";
    write_fields(route->body, &out);
    out += "</details>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace pagoda
