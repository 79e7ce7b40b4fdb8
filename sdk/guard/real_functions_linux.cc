#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "sdk/guard/real_functions.h"

namespace forkserver::guard {
namespace {

#define GUARD_NAME(name) #name,
constexpr const char* kNames[] = {GUARD_FUNCTIONS(GUARD_NAME)};

std::atomic<void*> found[kRealFunctions];

[[gnu::constructor]] void FindAll() {
  for (int i = 0; i < kRealFunctions; ++i) {
    FindReal(static_cast<RealFunction>(i));
  }
}

}  // namespace

void* FindReal(RealFunction function) {
  void* address = found[function].load(std::memory_order_relaxed);
  if (address == nullptr) {
    address = ::dlsym(RTLD_NEXT, kNames[function]);
    found[function].store(address, std::memory_order_relaxed);
  }
  return address;
}

}  // namespace forkserver::guard
