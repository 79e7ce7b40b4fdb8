// What the runner waits for, as numbers of its PollSet.
#pragma once

#include <cstddef>
#include <cstdint>

namespace forkserver::harness {

inline constexpr std::uint64_t kClientToken = 0;
inline constexpr std::uint64_t kSignalsToken = 1;
inline constexpr std::uint64_t kKeysToken = 2;
inline constexpr std::uint64_t kFirstStreamToken = 8;

// `stream`: 0 is standard output, 1 standard error.
inline std::uint64_t StreamToken(std::size_t slot, int stream) {
  return kFirstStreamToken + 2 * slot + static_cast<std::uint64_t>(stream);
}
inline std::size_t SlotOf(std::uint64_t token) {
  return (token - kFirstStreamToken) / 2;
}
inline int StreamOf(std::uint64_t token) {
  return static_cast<int>((token - kFirstStreamToken) % 2);
}

}  // namespace forkserver::harness
