#include "base/json.h"
#include "base/utf8.h"
#include "openai/common_fields.h"

namespace pagoda {

Result<Value> parse_body(std::string_view body, JsonMeter* meter) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  if (body.empty()) return invalid_argument("The body is empty: Field required", "body");
  std::size_t error_at = 0;
  Result<Value> value = parse_json(body, {.meter = meter}, &error_at);
  if (!value.ok() && value.status().code() != StatusCode::kInvalidArgument) return value.status();
  if (!value.ok())
    return invalid_argument("The body is not valid: " + value.status().message(),
                            "body." + std::to_string(count_code_points(body.substr(0, error_at))));
  if (value->is_null()) return invalid_argument("The body is null: Field required", "body");
  if (!value->is_object())
    return invalid_argument("The body should be a JSON object, " + describe_value(*value), "body");
  return value;
}

std::size_t ParsedRequest::heap_bytes() const {
  constexpr std::size_t kCopies = 3;  // of names: in the answer's head and in the context, too
  return generate.heap_bytes() + shape.heap_bytes() +
         kCopies * (pagoda::heap_bytes(request_id) + pagoda::heap_bytes(user));
}

}  // namespace pagoda
