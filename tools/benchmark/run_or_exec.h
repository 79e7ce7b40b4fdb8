// What the benchmark asks of its zygote program when that runs by hand as a
// client: a byte, and the answer is the nanoseconds that it took.
#pragma once

namespace forkserver::benchmark {

inline constexpr char kRunIt = 'r';   // an exec worker, to its exit record
inline constexpr char kExecIt = 'e';  // its own fork, exec and wait

}  // namespace forkserver::benchmark
