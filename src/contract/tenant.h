#pragma once
#include <cstdint>

namespace pagoda {

// Who shares the server's places with whom: tenants among themselves by weight, and the sources of one tenant
// alike. Keys are hashes; 0: nobody in particular.
struct Tenant {
  uint64_t key = 0;  // an API key or an address: what cannot be invented
  uint32_t weight = 1;
  uint64_t source = 0;  // a user or a connection of it: what can
};

}  // namespace pagoda
