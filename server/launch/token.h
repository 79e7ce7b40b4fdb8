// What a PollSet token of the launch layer stands for: a process and one of
// its descriptors, in one number.
#pragma once

#include <cstdint>

#include "server/launch/launch_event.h"

namespace forkserver::server {

enum class TokenKind : std::uint64_t {
  kProcessEnd,
  kExecStatus,
  kZygoteControl,
  kZygoteReport,
  kZygoteStderr,
  kChildSignal,
  kExamination,
  kRelaySource,
  kRelayTarget,
};

constexpr std::uint64_t MakeToken(ProcessKey key, TokenKind kind) {
  return key << 4 | static_cast<std::uint64_t>(kind);
}
constexpr ProcessKey KeyOfToken(std::uint64_t token) { return token >> 4; }
constexpr TokenKind KindOfToken(std::uint64_t token) {
  return static_cast<TokenKind>(token & 15);
}

}  // namespace forkserver::server
