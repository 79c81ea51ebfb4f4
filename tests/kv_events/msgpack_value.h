// msgpack to Value, for tests of what is sent. Unsigned integers beyond int64 wrap; bytes become strings.
#pragma once
#include <gtest/gtest.h>
#include <msgpuck.h>

#include <string>

#include "base/value.h"

namespace pagoda::testing {

inline Value read_msgpack(const char** data) {
  uint32_t size = 0;
  switch (mp_typeof(**data)) {
    case MP_NIL:
      mp_decode_nil(data);
      return {};
    case MP_UINT:
      return mp_decode_uint(data);
    case MP_INT:
      return mp_decode_int(data);
    case MP_DOUBLE:
      return mp_decode_double(data);
    case MP_STR: {
      const char* text = mp_decode_str(data, &size);
      return std::string(text, size);
    }
    case MP_BIN: {
      const char* bytes = mp_decode_bin(data, &size);
      return std::string(bytes, size);
    }
    case MP_ARRAY: {
      Array array;
      for (uint32_t n = mp_decode_array(data); n > 0; --n) array.push_back(read_msgpack(data));
      return array;
    }
    case MP_MAP: {
      Object object;
      for (uint32_t n = mp_decode_map(data); n > 0; --n) {
        const char* key = mp_decode_str(data, &size);
        std::string name(key, size);
        object.append(std::move(name), read_msgpack(data));
      }
      return object;
    }
    default:
      ADD_FAILURE() << "an unexpected msgpack type";
      return {};
  }
}

// Fails unless the bytes are exactly one value.
inline Value parse_msgpack(const std::string& bytes) {
  const char *data = bytes.data(), *end = data + bytes.size();
  if (const char* scan = data; mp_check(&scan, end) != 0 || scan != end) {
    ADD_FAILURE() << "not one msgpack value";
    return {};
  }
  return read_msgpack(&data);
}

}  // namespace pagoda::testing
