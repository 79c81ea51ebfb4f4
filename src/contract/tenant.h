#pragma once
#include <cstdint>

namespace pagoda {

// A holder of the server's places: tenants share them by weight, and the sources of one tenant alike. Keys
// are hashes; 0: unknown.
struct Tenant {
  uint64_t key = 0;  // an API key or an address: what cannot be invented
  uint32_t weight = 1;
  uint64_t source = 0;  // a user or a connection of it: what can
};

}  // namespace pagoda
