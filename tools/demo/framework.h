// Work done by a framework that does not survive fork(): GNU OpenMP on Linux,
// libdispatch on macOS. The demo, its worker and its zygote do the same work.
#pragma once

#include <cstdint>

namespace forkserver::demo {

inline constexpr std::int64_t kElements = 1'000'000;
// What DotProduct must return: the sum of 2 i for i below kElements.
inline constexpr std::int64_t kRightAnswer = kElements * (kElements - 1);

// "GNU OpenMP"
extern const char kFrameworkName[];
// "a parallel region with 4 threads"
extern const char kFrameworkUse[];

// The dot product of two vectors with kElements elements, computed in
// parallel. Blocks. From the first call on, this process cannot fork safely.
std::int64_t DotProduct();

}  // namespace forkserver::demo
