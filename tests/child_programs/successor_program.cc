// Programs that a daemon is asked to upgrade to, by the name of this file:
//
//   older            knows no state of today
//   older_protocol   speaks no protocol of today
//   fails            answers that it can take over, and then cannot
//   dies             the same, and is gone
//   stops            the same, and is the forkserverd beside it; as soon as it
//                    has answered the daemon gets SIGTERM, sooner or later
//   reaps            the same, when it has reaped one of the daemon's children
//   hangs            stops itself
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/process/platform.h"
#include "server/handed_fds.h"
#include "server/upgrade/hand_over.h"
#include "server/upgrade/judgement.h"
#include "server/upgrade/program_file.h"

namespace forkserver::server {
namespace {

// In a process of its own: when this one has ended, and a moment later.
void StopDaemonSoon() {
  const pid_t daemon = ::getppid();
  const UniqueFd trial = OpenProcess(::getpid());
  const pid_t pid = ::fork();
  // Its group would end with this one.
  ::setpgid(pid, pid);
  if (pid != 0) return;
  pollfd polled = {trial.get(), POLLIN, 0};
  ::poll(&polled, 1, -1);
  // No sleep is short enough.
  const std::int64_t begun_ns = MonotonicNanoseconds();
  while (MonotonicNanoseconds() < begun_ns + begun_ns % 200'000) {
  }
  ::kill(daemon, SIGTERM);
  ::_exit(0);
}

int Main(char** argv) {
  const std::string path = ExecutablePath();
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  const auto call = TakeCall();
  if (!call) return 2;
  const auto state = ReadState(call->state);
  if (!state) return 3;
  if (call->kind == Call::Kind::kTry) {
    Abilities abilities;
    if (name == "hangs") ::raise(SIGSTOP);
    if (name == "older") abilities = {"0.0.9", 0, 1, 1};
    if (name == "older_protocol") abilities = {"0.0.9", 1, 0, 0};
    if (name == "stops") StopDaemonSoon();
    protocol::UpgradeAnswer answer = Judge(*state, abilities);
    answer.file = OwnIdentity().value();
    WriteAnswer(answer);
    return 0;
  }
  if (name == "dies") ::kill(::getpid(), SIGKILL);
  if (name == "reaps") ::waitpid(-1, nullptr, 0);
  if (name == "stops" || name == "reaps") {
    std::vector<std::string> words;
    for (char** word = argv; *word != nullptr; ++word)
      words.emplace_back(*word);
    CallSuccessor(path.substr(0, slash) + "/forkserverd", words, call->kind,
                  call->state, state->fds);
    return 5;
  }
  KeepOnExec(state->fds, false);
  GoBack(*state, argv, call->state, "there is nothing left to take: over");
  return 4;
}

}  // namespace
}  // namespace forkserver::server

int main(int, char** argv) { return forkserver::server::Main(argv); }
