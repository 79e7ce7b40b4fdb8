// The part of Daemon that lets another program take it over, in the same
// process, and that takes over.
#include <forkserver/version.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "sdk/protocol/codec.h"
#include "server/daemon.h"
#include "server/exit_codes.h"
#include "server/logging.h"
#include "server/pristine.h"
#include "server/upgrade/execute_fd.h"
#include "server/upgrade/hand_over.h"

namespace forkserver::server {
namespace {

Error Failed(const char* step, std::string message, std::string hint = {}) {
  Error error = MakeError(error_code::kUpgradeFailed, std::move(message),
                          std::move(hint));
  error.step = step;
  return error;
}

Error Failed(const char* step, const Error& cause) {
  Error error = Failed(step, cause.message, cause.hint);
  error.error_number = cause.error_number;
  return error;
}

// Which file a path is now. Nobody changes one that is being executed, so that
// it is the same program as long as this is the same.
Result<std::pair<std::uint64_t, std::uint64_t>> IdentityOf(
    const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    return SystemError("stat(" + path + ")", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeError(error_code::kUpgradeFailed, path + " is not a file");
  }
  if (::access(path.c_str(), X_OK) != 0) {
    return SystemError("access(" + path + ", X_OK)", errno);
  }
  return std::pair(std::uint64_t{info.st_dev}, std::uint64_t{info.st_ino});
}

// What a program did instead of answering.
std::string DescribeOutcome(const ProgramTried& tried) {
  const EndStatus& status = tried.status;
  std::string text = "ended";
  if (status.code) text = "exited with code " + std::to_string(*status.code);
  if (status.signal == SIGALRM) {
    text =
        "said nothing for " + std::to_string(Examiner::kPatienceSeconds) + " s";
  } else if (status.signal) {
    text = "was ended by signal " + std::to_string(*status.signal) + " (" +
           ::strsignal(static_cast<int>(*status.signal)) + ")";
  }
  // A program that fails may say much.
  constexpr std::size_t kMostSaid = 500;
  std::string said = tried.said.substr(0, kMostSaid);
  for (char& letter : said) {
    if (static_cast<unsigned char>(letter) < ' ') letter = ' ';
  }
  while (!said.empty() && said.back() == ' ') said.pop_back();
  return said.empty() ? text : text + " and said: " + said;
}

std::vector<std::int64_t> ListOf(const std::set<std::int64_t>& set) {
  return {set.begin(), set.end()};
}

}  // namespace

Result<void> Daemon::BeginUpgrade(std::string program) {
  if (supervisor_.shutting_down()) {
    return MakeError(error_code::kDaemonStopping,
                     "forkserverd is stopping and is not upgraded any more",
                     "start the new one when it has stopped");
  }
  if (upgrade_) {
    return Failed(
        "begin", "an upgrade to " + upgrade_->program + " is under way already",
        "ask again when it is over");
  }
  if (program.empty()) program = program_;
  if (program.front() != '/') {
    return MakeError(
        error_code::kBadRequest,
        "'upgrade.program' must be an absolute path, not '" + program + "'");
  }
  auto file = IdentityOf(program);
  if (!file) return Failed("open", file.error());
  HandedFds fds;
  Result<UniqueFd> state = WriteState(WriteDown(fds));
  if (!state) return Failed("write", state.error());
  auto trying = launcher_->TryProgram(
      [&](int pipe) {
        ::dup2(pipe, STDOUT_FILENO);
        ::dup2(pipe, STDERR_FILENO);
        return CallSuccessor(program, options_.argv, Call::Kind::kTry, *state,
                             {})
            .ToString();
      },
      state->get());
  if (!trying) return Failed("try", trying.error());
  upgrade_.emplace();
  upgrade_->program = std::move(program);
  upgrade_->file = *file;
  return {};
}

void Daemon::OnTried(const ProgramTried& tried) {
  if (!upgrade_ || upgrade_->tried) return;
  const std::string& program = upgrade_->program;
  const auto answer = ReadAnswer(tried.said);
  if (!answer) {
    EndUpgrade(Failed("try",
                      program + " did not answer that it can take over: it " +
                          DescribeOutcome(tried),
                      "see what `" + program + " --version` says"));
    return;
  }
  if (!answer->why_not.empty()) {
    EndUpgrade(Failed("try",
                      program + " (forkserverd " + answer->version +
                          ") cannot take over: " + answer->why_not,
                      answer->hint));
    return;
  }
  upgrade_->tried = true;
  // From now on they wait for whoever is there then. What came before is in
  // the loop's hands: it has dealt with that after one more round.
  HoldStopSignals();
  hand_over_timer_.emplace(loop_, [this] {
    hand_over_timer_.emplace(loop_, [this] { HandOver(); });
    hand_over_timer_->Start(std::chrono::milliseconds(0));
  });
  hand_over_timer_->Start(std::chrono::milliseconds(0));
}

void Daemon::EndUpgrade(const Error& why) {
  Log(LogLevel::kError, "not upgraded: " + why.ToString());
  upgrade_.reset();
  dispatcher_->AnswerUpgrade(why);
}

protocol::HandedDaemon Daemon::WriteDown(HandedFds& fds) const {
  protocol::HandedDaemon handed;
  handed.version = kVersion;
  handed.program = program_;
  handed.old_program = fds.Add(own_program_);
  handed.upgrades = upgrades_;
  handed.log_path = log_path_;
  handed.notify = manager_.address();
  protocol::HandedControl control;
  control.claim = claim_.HandOver(fds);
  control.last_connection = static_cast<std::int64_t>(listener_->last_id());
  dispatcher_->HandOver(fds, control);
  std::set<std::int64_t> protocols;
  for (const auto& connection : control.connections) {
    // 0: it has not said hello.
    if (connection.protocol != 0) protocols.insert(connection.protocol);
  }
  handed.client_protocols = ListOf(protocols);
  handed.zygote_protocols = ListOf(launcher_->ZygoteProtocols());
  handed.control.data = protocol::EncodeBody(control);
  handed.supervisor.data = protocol::EncodeBody(supervisor_.HandOver());
  handed.launcher.data = protocol::EncodeBody(launcher_->HandOver(fds));
  handed.services.data = protocol::EncodeBody(services_->HandOver(fds));
  handed.fds = fds.numbers();
  return handed;
}

void Daemon::HandOver() {
  // What has come of the last round.
  Settle();
  Error why;
  if (supervisor_.shutting_down()) {
    why = MakeError(error_code::kDaemonStopping,
                    "forkserverd was told to stop while it was upgraded");
  } else if (auto file = IdentityOf(upgrade_->program);
             !file || *file != upgrade_->file) {
    why = Failed("open", upgrade_->program + " was changed while it was tried",
                 "upgrade again");
  } else {
    HandedFds fds;
    const protocol::HandedDaemon handed = WriteDown(fds);
    Result<UniqueFd> state = WriteState(handed);
    why = state ? CallSuccessor(upgrade_->program, options_.argv,
                                Call::Kind::kTakeOver, *state, handed.fds)
                : state.error();
    why = Failed("exec", why);
  }
  ReleaseStopSignals();
  EndUpgrade(why);
  Settle();
}

std::unique_ptr<Daemon> Daemon::TakeOver(
    const Options& options, protocol::HandedDaemon handed,
    const std::string& refused,
    const std::function<void(const Error&)>& give_up) {
  // While `give_up` runs everything that was made is still there.
  auto control =
      protocol::DecodeBody<protocol::HandedControl>(handed.control.data);
  auto supervisor =
      protocol::DecodeBody<protocol::HandedSupervisor>(handed.supervisor.data);
  auto launcher =
      protocol::DecodeBody<protocol::HandedLauncher>(handed.launcher.data);
  auto services =
      protocol::DecodeBody<protocol::HandedServices>(handed.services.data);
  if (!control) give_up(control.error());
  if (!supervisor) give_up(supervisor.error());
  if (!launcher) give_up(launcher.error());
  if (!services) give_up(services.error());
  const std::string instance = supervisor->instance;
  auto launching = Launcher::TakeOver(instance, std::move(*launcher));
  if (!launching) give_up(launching.error());
  std::unique_ptr<Daemon> daemon(
      new Daemon(options, SocketClaim::TakeOver(control->claim),
                 std::move(*launching), instance));
  daemon->manager_ = ServiceManager(handed.notify);
  daemon->upgrades_ = handed.upgrades + (refused.empty() ? 1 : 0);
  if (!refused.empty()) daemon->program_ = handed.program;
  daemon->supervisor_.TakeOver(std::move(*supervisor));
  if (auto added = daemon->AddServices(); !added) give_up(added.error());
  daemon->services_->TakeOver(std::move(*services));
  if (auto added = daemon->AddControl(
          handed.log_path, static_cast<OwnerId>(control->last_connection));
      !added) {
    give_up(added.error());
  }
  daemon->dispatcher_->TakeOver(*control);
  const UniqueFd no_way_back = TakeHanded(handed.old_program);
  if (refused.empty()) {
    Log(LogLevel::kInfo, std::string("upgraded from forkserverd ") +
                             handed.version + " to " + kVersion);
    daemon->dispatcher_->AnswerUpgrade(
        protocol::UpgradeReply{handed.version, kVersion});
  } else {
    daemon->EndUpgrade(Failed("take_over", refused));
  }
  daemon->Settle();
  return daemon;
}

}  // namespace forkserver::server
