// Programs that a daemon is asked to upgrade to, by the name of this file:
//
//   older            knows no state of today
//   older_protocol   speaks no protocol of today
//   fails            answers that it can take over, and then cannot
//   dies             the same, and is gone
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "sdk/process/platform.h"
#include "server/handed_fds.h"
#include "server/upgrade/hand_over.h"
#include "server/upgrade/judgement.h"

namespace forkserver::server {
namespace {

int Main(const std::vector<std::string>& argv) {
  const std::string path = ExecutablePath();
  const std::string name = path.substr(path.rfind('/') + 1);
  const auto call = TakeCall();
  if (!call) return 2;
  const auto state = ReadState(call->state);
  if (!state) return 3;
  if (call->kind == Call::Kind::kTry) {
    Abilities abilities;
    if (name == "older") abilities = {"0.0.9", 0, 1, 1};
    if (name == "older_protocol") abilities = {"0.0.9", 1, 0, 0};
    WriteAnswer(Judge(*state, abilities));
    return 0;
  }
  if (name == "dies") {
    ::signal(SIGKILL, SIG_DFL);
    ::kill(::getpid(), SIGKILL);
  }
  KeepOnExec(state->fds, false);
  GoBack(*state, argv, call->state, "there is nothing left to take: over");
  return 4;
}

}  // namespace
}  // namespace forkserver::server

int main(int argc, char** argv) {
  return forkserver::server::Main({argv, argv + argc});
}
