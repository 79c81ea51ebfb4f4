#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace pagoda {

// 128 bits that stand for a cache salt. Keyed with numbers drawn when the process starts, so that nobody can
// make a salt that collides with somebody else's; the same salt gives the same bits within one process only.
// Empty: all zero.
std::array<uint8_t, 16> hash_cache_salt(std::string_view salt);
// Stands for a client by its key or name. Keyed in the same way; 0 if it is empty.
uint64_t hash_client(std::string_view client);

}  // namespace pagoda
