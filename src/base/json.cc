#include "base/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "base/hash.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

namespace bj = boost::json;

// SAX events straight into a Value: one pass, no intermediate tree, and duplicate keys are seen.
struct Builder {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  explicit Builder(const JsonLimits& limits)
      : reject_duplicates(limits.reject_duplicate_keys),
        values_max(limits.values_max),
        meter(limits.meter != nullptr ? *limits.meter : own_meter) {
    if (meter.memory != nullptr) bytes_granted = std::max(MemoryBudget::kFreeBytes, meter.bytes);
  }

  // False, with an error, when there have been too many values, or no memory is granted for this one.
  bool put(Value value, bj::error_code& ec) {
    if (++meter.values > values_max) {
      too_many = true;
      ec = bj::error::array_too_large;
      return false;
    }
    if (stack.empty()) {
      root = std::move(value);
    } else if (stack.back().is_array()) {
      Array& array = stack.back().as_array();
      if (array.size() == array.capacity() && !grows(array.capacity(), sizeof(Value), ec)) return false;
      array.push_back(std::move(value));
    } else {
      Object& object = stack.back().as_object();
      if (object.size() == object.capacity() && !grows(object.capacity(), sizeof(Member), ec)) return false;
      object.append(std::move(keys.back()), std::move(value));
      keys.pop_back();
    }
    return true;
  }
  // A list that is full takes as much again.
  bool grows(std::size_t capacity, std::size_t item_bytes, bj::error_code& ec) {
    return charge(capacity == 0 ? item_bytes + kHeapOverhead : capacity * item_bytes, ec);
  }
  bool charge(std::size_t bytes, bj::error_code& ec) {
    meter.bytes += bytes;
    return meter.bytes <= bytes_granted || ask(meter.bytes, ec);
  }
  // Asks for a little more than that, so as to ask seldom.
  bool ask(std::size_t bytes, bj::error_code& ec) {
    bytes_granted = bytes + MemoryBudget::kFreeBytes;
    refusal = meter.memory->grow_to(bytes_granted);
    if (!refusal.ok()) ec = bj::error::array_too_large;
    return refusal.ok();
  }
  bool pop(bj::error_code& ec) {
    Value done = std::move(stack.back());
    stack.pop_back();
    return put(std::move(done), ec);
  }

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) {
    stack.emplace_back(Object());
    return true;
  }
  bool on_object_end(std::size_t, bj::error_code& ec) {
    // What the search for equal keys takes, for as long as it lasts.
    constexpr std::size_t kBytesPerKey = 64;
    const std::size_t bytes = meter.bytes + stack.back().as_object().size() * kBytesPerKey;
    if (bytes > bytes_granted && !ask(bytes, ec)) return false;
    if (!unique_keys(&stack.back().as_object())) {
      ec = bj::error::syntax;
      return false;
    }
    return pop(ec);
  }
  bool on_array_begin(bj::error_code&) {
    stack.emplace_back(Array());
    return true;
  }
  bool on_array_end(std::size_t, bj::error_code& ec) { return pop(ec); }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, bj::error_code& ec) {
    keys.push_back(take_text(part));
    return charge(heap_bytes(keys.back()), ec);
  }
  bool on_string_part(bj::string_view part, std::size_t, bj::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_string(bj::string_view part, std::size_t, bj::error_code& ec) {
    std::string whole = take_text(part);
    return charge(heap_bytes(whole), ec) && put(Value(std::move(whole)), ec);
  }
  // In a block of its size.
  std::string take_text(bj::string_view last_part) {
    if (text.empty()) return std::string(last_part.data(), last_part.size());
    text.append(last_part.data(), last_part.size());
    std::string whole(text);
    text.clear();
    return whole;
  }
  bool on_number_part(bj::string_view part, bj::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t number, bj::string_view, bj::error_code& ec) {
    text.clear();
    return put(Value(number), ec);
  }
  bool on_uint64(uint64_t number, bj::string_view, bj::error_code& ec) {
    text.clear();
    return put(Value(static_cast<double>(number)), ec);  // only called above INT64_MAX
  }
  // The library's own decimal conversion can be an ulp off; from_chars is exact. Out of range it leaves its
  // result alone: then the library's value tells overflow (infinite) from underflow.
  bool on_double(double approximate, bj::string_view part, bj::error_code& ec) {
    text.append(part.data(), part.size());
    double number = approximate;
    std::from_chars(text.data(), text.data() + text.size(), number);
    if (!std::isfinite(number)) {
      constexpr std::size_t kNamedBytes = 60;
      too_large = text.size() <= kNamedBytes ? text : text.substr(0, kNamedBytes) + "...";
      ec = bj::error::exponent_overflow;
      return false;
    }
    text.clear();
    return put(Value(number), ec);
  }
  bool on_bool(bool b, bj::error_code& ec) { return put(Value(b), ec); }
  bool on_null(bj::error_code& ec) { return put(Value(), ec); }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }

  // Keeps the last of equal keys at the place of the first; false if they are to be refused.
  bool unique_keys(Object* object) {
    if (object->size() < 2) return true;
    std::unordered_set<std::string_view, KeyHash> seen;
    seen.reserve(object->size());
    bool unique = true;
    for (const Member& member : *object) unique &= seen.insert(member.key).second;
    if (unique) return true;
    duplicate = true;
    if (reject_duplicates) return false;
    Object merged;
    for (Member& member : *object) merged.set(std::move(member.key), std::move(member.value));
    *object = std::move(merged);
    return true;
  }

  const bool reject_duplicates;
  const std::size_t values_max;
  JsonMeter own_meter;
  JsonMeter& meter;
  std::size_t bytes_granted = std::size_t(-1);
  Status refusal;  // of more
  bool duplicate = false, too_many = false;
  std::string too_large;  // the number that is
  Value root;
  std::vector<Value> stack;
  std::vector<std::string> keys;
  std::string text;
};

}  // namespace

Result<Value> parse_json(std::string_view text, const JsonLimits& limits, std::size_t* error_at) {
  bj::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.depth_max);
  bj::basic_parser<Builder> parser(options, limits);
  bj::error_code ec;
  std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && used < text.size()) ec = bj::error::extra_data;
  if (ec) {
    if (error_at != nullptr) *error_at = used;
    if (!parser.handler().refusal.ok()) return parser.handler().refusal;
    if (parser.handler().duplicate && limits.reject_duplicate_keys)
      return invalid_argument("invalid JSON: a key occurs twice in one object, before byte " +
                              std::to_string(used));
    if (parser.handler().too_many)
      return invalid_argument("the JSON has more than " + std::to_string(limits.values_max) + " values");
    const std::string& number = parser.handler().too_large;
    const std::string why = number.empty() ? ec.message() : "the number " + number + " is too large";
    return invalid_argument("invalid JSON at byte " + std::to_string(used) + ": " + why);
  }
  return std::move(parser.handler().root);
}

std::string python_float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char digits[32];
  // Shortest digits in scientific form: d.ddde±XX; Python then prints fixed notation for -4 <= exponent < 16.
  auto end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific).ptr;
  std::string text(digits, end);
  std::size_t e = text.find('e');
  int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return text;
  end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed).ptr;
  text.assign(digits, end);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

void append_json_string(std::string* out, std::string_view text, bool ensure_ascii) {
  static constexpr char kHex[] = "0123456789abcdef";
  auto escape = [&](uint32_t unit) {
    *out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[(unit >> shift) & 15];
  };
  *out += '"';
  for (std::size_t i = 0; i < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      ++i;
      switch (c) {
        case '"':
          *out += "\\\"";
          break;
        case '\\':
          *out += "\\\\";
          break;
        case '\n':
          *out += "\\n";
          break;
        case '\r':
          *out += "\\r";
          break;
        case '\t':
          *out += "\\t";
          break;
        case '\b':
          *out += "\\b";
          break;
        case '\f':
          *out += "\\f";
          break;
        default:
          if (c < 0x20)
            escape(c);
          else
            *out += static_cast<char>(c);
      }
      continue;
    }
    Utf8Char decoded = decode_utf8(text, i);
    i += decoded.length;
    if (!ensure_ascii) {
      append_utf8(out, decoded.code_point);
    } else if (decoded.code_point < 0x10000) {
      escape(decoded.code_point);
    } else {
      escape(0xD800 + ((decoded.code_point - 0x10000) >> 10));
      escape(0xDC00 + ((decoded.code_point - 0x10000) & 0x3FF));
    }
  }
  *out += '"';
}

namespace {

void newline(std::string* out, const JsonStyle& style, int depth) {
  if (style.indent < 0) return;
  *out += '\n';
  out->append(static_cast<std::size_t>(style.indent) * static_cast<std::size_t>(depth), ' ');
}

void append_number(std::string* out, double number, const JsonStyle& style) {
  if (std::isfinite(number)) {
    *out += python_float_repr(number);
  } else if (!style.python_spacing) {
    *out += "null";
  } else {
    *out += std::isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity";
  }
}

void append_value(std::string* out, const Value& value, const JsonStyle& style, int depth) {
  const char* comma = style.python_spacing && style.indent < 0 ? ", " : ",";
  const char* colon = style.python_spacing ? ": " : ":";
  if (value.is_null()) {
    *out += "null";
  } else if (value.is_bool()) {
    *out += value.as_bool() ? "true" : "false";
  } else if (value.is_int()) {
    *out += std::to_string(value.as_int());
  } else if (value.is_double()) {
    append_number(out, value.as_double(), style);
  } else if (value.is_string()) {
    append_json_string(out, value.as_string(), style.ensure_ascii);
  } else if (value.is_array()) {
    const Array& array = value.as_array();
    *out += '[';
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (i > 0) *out += comma;
      newline(out, style, depth + 1);
      append_value(out, array[i], style, depth + 1);
    }
    if (!array.empty()) newline(out, style, depth);
    *out += ']';
  } else {
    const Object& object = value.as_object();
    std::vector<const Member*> members;
    for (const Member& member : object) members.push_back(&member);
    if (style.sort_keys)
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
    *out += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) *out += comma;
      newline(out, style, depth + 1);
      append_json_string(out, members[i]->key, style.ensure_ascii);
      *out += colon;
      append_value(out, members[i]->value, style, depth + 1);
    }
    if (!members.empty()) newline(out, style, depth);
    *out += '}';
  }
}

}  // namespace

void append_json(std::string* out, const Value& value, const JsonStyle& style) {
  append_value(out, value, style, 0);
}

std::string write_json(const Value& value, const JsonStyle& style) {
  std::string out;
  append_json(&out, value, style);
  return out;
}

}  // namespace pagoda
