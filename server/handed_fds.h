// Descriptors that go over to the program that replaces this one. They stay
// open, at their numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::server {

// Notes them while the state of a daemon is written down. Owns none.
class HandedFds {
 public:
  // Its number, for the state; -1 if it is invalid.
  std::int64_t Add(const UniqueFd& fd);
  std::vector<std::int64_t> Add(const std::vector<UniqueFd>& fds);
  protocol::HandedReader Add(const protocol::FrameReader& reader);

  const std::vector<std::int64_t>& numbers() const { return numbers_; }

 private:
  std::vector<std::int64_t> numbers_;
};

// Whether they stay open when a program is executed.
void KeepOnExec(const std::vector<std::int64_t>& numbers, bool keep);

// On the other side, once for each number.
UniqueFd TakeHanded(std::int64_t number);
std::vector<UniqueFd> TakeHanded(const std::vector<std::int64_t>& numbers);
void TakeHanded(const protocol::HandedReader& handed,
                protocol::FrameReader& reader);

}  // namespace forkserver::server
