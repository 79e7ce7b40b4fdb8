// How a daemon calls the program that is to replace it, and how that hears of
// it: the state in a file without a name, and a word in the environment.
//
//   the daemon                     the new program
//   fork, CallSuccessor(kTry)      TakeCall() -> kTry: looks at the state, and
//                                  WriteAnswer says whether it can take over
//   CallSuccessor(kTakeOver)       TakeCall() -> kTakeOver: is the daemon now
//                                  GoBack, if it cannot be after all
//   TakeCall() -> kGoBack: goes on as if nothing had been
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::server {

// Blocks for no more than memory takes.
Result<UniqueFd> WriteState(const protocol::HandedDaemon& state);
Result<protocol::HandedDaemon> ReadState(const UniqueFd& file);

struct Call {
  enum class Kind { kTry, kTakeOver, kGoBack };
  Kind kind = Kind::kTry;
  UniqueFd state;
  std::string why;  // of kGoBack: what the other one says
};
// What this very process was executed for, if it is one of these; takes it out
// of the environment. nullopt: a daemon like any other.
std::optional<Call> TakeCall();

// Executes `program` in this process, with all descriptors of the state (of
// kTry: the file alone). Returns only if that fails. Borrows `state`.
Error CallSuccessor(const std::string& program,
                    const std::vector<std::string>& argv, Call::Kind kind,
                    const UniqueFd& state,
                    const std::vector<std::int64_t>& fds);
// Executes the program that has called this one again.
Error GoBack(const protocol::HandedDaemon& handed, char* const* argv,
             const UniqueFd& state, const std::string& why);

// To standard output, which is the caller's.
void WriteAnswer(const protocol::UpgradeAnswer& answer);
// Of all that was written there and to standard error; empty if that is not
// the answer.
std::optional<protocol::UpgradeAnswer> ReadAnswer(std::string_view text);

}  // namespace forkserver::server
