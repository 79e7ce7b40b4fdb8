// forkserverd: named steps from whatever started it to a clean fork server.
#include <forkserver/version.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "server/control/socket_claim.h"
#include "server/daemon.h"
#include "server/execute_anew.h"
#include "server/exit_codes.h"
#include "server/handed_fds.h"
#include "server/logging.h"
#include "server/options.h"
#include "server/pristine.h"
#include "server/service_manager.h"
#include "server/surroundings.h"
#include "server/upgrade/hand_over.h"
#include "server/upgrade/judgement.h"
#include "server/upgrade/program_file.h"

namespace forkserver::server {
namespace {

int Fail(const Error& error, ExitCode code) {
  std::fprintf(stderr, "forkserverd: %s\n", error.ToString().c_str());
  return code;
}

// The other one may just be starting. This process serves nobody, so it may
// sleep; "already served" must mean that the socket accepts.
void WaitUntilServed(const std::string& path) {
  for (int i = 0; i < 1000; ++i) {
    if (ConnectUnixSocket(path)) return;
    const timespec pause = {0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

Result<SocketClaim> ClaimSocket(const Options& options, UniqueFd activation) {
  if (activation) {
    return SocketClaim::Adopt(options.socket_path, std::move(activation));
  }
  return SocketClaim::Take(options.socket_path);
}

// Before a daemon executes this program in its place.
int AnswerTrial(const Result<Options>& options, const Call& call) {
  protocol::UpgradeAnswer answer;
  answer.version = kVersion;
  if (!options) {
    answer.why_not = "it does not know the options: " + options.error().message;
  } else if (auto state = ReadState(call.state); !state) {
    answer.why_not = "it cannot read the state: " + state.error().ToString();
  } else {
    answer = Judge(*state);
  }
  if (auto own = OwnIdentity()) {
    answer.file = *std::move(own);
  } else {
    answer.why_not = own.error().ToString();
  }
  WriteAnswer(answer);
  return kExitOk;
}

// In its place. The state is gone when it returns.
std::unique_ptr<Daemon> TakeOver(const Result<Options>& options, char** argv,
                                 const Call& call) {
  const Result<protocol::HandedDaemon> state = ReadState(call.state);
  if (!state) {
    // It was read before; without it there is no way back either.
    Fail(state.error(), kExitStartFailed);
    ::_exit(kExitStartFailed);
  }
  KeepOnExec(state->fds, false);
  if (!state->log_path.empty()) {
    static_cast<void>(LogToFile(state->log_path));
  }
  const auto give_up = [&](const Error& error) {
    Log(LogLevel::kError, "it cannot take over: " + error.ToString());
    if (call.kind == Call::Kind::kTakeOver) {
      const Error failed = GoBack(*state, argv, call.state, error.ToString());
      Log(LogLevel::kError, failed.ToString());
    }
    ::_exit(kExitStartFailed);
  };
  if (!options) give_up(options.error());
  return Daemon::TakeOver(*options, *state, call.why, give_up);
}

int Main(int argc, char** argv) {
  std::optional<Call> call = TakeCall();
  Result<Options> options = ParseOptions(argc, argv);
  if (call && call->kind == Call::Kind::kTry) {
    return AnswerTrial(options, *call);
  }
  if (options) {
    options->argv.assign(argv, argv + argc);
    options->program = StartedAs(argv[0]);
    SetLogLevel(options->log_level);
  }
  if (call) {
    SetProcessName("forkserverd");
    IgnoreSignals();
    const std::unique_ptr<Daemon> daemon = TakeOver(options, argv, *call);
    call.reset();
    ReleaseStopSignals();
    daemon->Run();
    return kExitOk;
  }
  if (!options) return Fail(options.error(), kExitUsage);
  if (options->show_help) {
    std::fputs(kHelpText, stdout);
    return kExitOk;
  }
  if (options->show_version) {
    std::printf("forkserverd %s\n", kVersion);
    return kExitOk;
  }

  // Who starts it in the foreground, a service manager say, has chosen its
  // surroundings. In the background it may be anybody's child.
  std::vector<std::string> kept;
  if (!options->foreground) {
    if (!options->keep_surroundings) kept = ResetSurroundings();
    if (auto anew = ExecuteAnew(argv); !anew) {
      kept.push_back("environment and libraries (" + anew.error().ToString() +
                     ")");
    }
  }
  const auto manager = ServiceManager::Take(options->foreground);
  UniqueFd activation = TakeActivationSocket();
  BecomePristine(activation.get());
  UniqueFd waiting_parent;
  if (!options->foreground) {
    Result<UniqueFd> background = GoToBackground();
    if (!background) return Fail(background.error(), kExitStartFailed);
    waiting_parent = std::move(*background);
  }
  RaiseOwnLimits();
  PreferShortSlices();

  HoldStopSignals();
  Result<SocketClaim> claim = ClaimSocket(*options, std::move(activation));
  if (!claim) {
    const bool served = claim.error().code == SocketClaim::kAlreadyServed;
    ReleaseStopSignals();
    if (served) WaitUntilServed(options->socket_path);
    return Fail(claim.error(), served ? kExitAlreadyServed : kExitStartFailed);
  }
  std::string log_path;
  if (!options->foreground) {
    log_path = claim->path() + ".log";
    if (auto logging = LogToFile(log_path); !logging) {
      return Fail(logging.error(), kExitStartFailed);
    }
  }
  for (const std::string& what : kept) {
    Log(LogLevel::kInfo, "kept from whoever started it: " + what);
  }
  auto daemon =
      Daemon::Create(*options, std::move(*claim), std::move(log_path), manager);
  if (!daemon) return Fail(daemon.error(), kExitStartFailed);
  ReleaseStopSignals();
  if (waiting_parent) ReportReady(std::move(waiting_parent));
  (*daemon)->Run();
  return kExitOk;
}

}  // namespace
}  // namespace forkserver::server

int main(int argc, char** argv) { return forkserver::server::Main(argc, argv); }
