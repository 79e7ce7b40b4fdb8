// The part of Daemon that lets another program take it over, in the same
// process, and that takes over.
#include <forkserver/version.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/codec.h"
#include "server/daemon.h"
#include "server/logging.h"
#include "server/pristine.h"
#include "server/upgrade/hand_over.h"
#include "server/upgrade/judgement.h"
#include "server/upgrade/program_file.h"

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

// What a program did instead of answering.
std::string DescribeOutcome(const ProgramTried& tried, bool late) {
  const EndStatus& status = tried.status;
  std::string text = "ended";
  if (late || status.signal == SIGALRM) {
    text =
        "said nothing for " + std::to_string(Examiner::kPatienceSeconds) + " s";
  } else if (status.code) {
    text = "exited with code " + std::to_string(*status.code);
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
  if (program.empty() || program.front() != '/') {
    return MakeError(
        error_code::kBadRequest,
        "'upgrade.program' must be an absolute path, not '" + program + "'");
  }
  if (!launcher_->can_be_replaced()) {
    return Failed("begin",
                  "this forkserverd has what the next one would need in "
                  "memory that ends with it: there was no file for it when it "
                  "was started, under a limit of file sizes perhaps",
                  "stop and start it");
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
  Upgrade upgrade;
  upgrade.program = std::move(program);
  upgrade.file = std::move(*file);
  upgrade_ = std::move(upgrade);
  trial_timer_.emplace(loop_, [this] {
    if (!upgrade_ || upgrade_->tried) return;
    upgrade_->late = true;
    launcher_->EndTrial();
  });
  trial_timer_->Start(std::chrono::seconds(Examiner::kPatienceSeconds));
  return {};
}

void Daemon::OnTried(const ProgramTried& tried) {
  if (!upgrade_ || upgrade_->tried) return;
  trial_timer_.reset();
  const std::string& program = upgrade_->program;
  const auto answer = ReadAnswer(tried.said);
  if (!answer) {
    return EndUpgrade(Failed("try",
                             program +
                                 " did not answer that it can take over: it " +
                                 DescribeOutcome(tried, upgrade_->late),
                             "see what `" + program + " --version` says"));
  }
  if (!answer->why_not.empty()) {
    return EndUpgrade(Failed("try",
                             program + " (forkserverd " + answer->version +
                                 ") cannot take over: " + answer->why_not,
                             answer->hint));
  }
  if (answer->file != upgrade_->file) {
    // While that executes others it may reap what is ours.
    return EndUpgrade(Failed(
        "try", program + " executes another program, or was changed meanwhile",
        "name forkserverd itself or a link to it; for the command line its "
        "folder, by FORKSERVER_BIN"));
  }
  if (auto prepared = PrepareHandOver(); !prepared) {
    return EndUpgrade(Failed("begin", prepared.error()));
  }
  upgrade_->tried = true;
}

Result<void> Daemon::PrepareHandOver() {
  // From now on signals wait for whoever is there then. Those that were caught
  // before are in the loop's pipe: it has seen to them when it has polled once
  // more and has come to its timers after that.
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  round_end_ = std::move(pipe->read_end);
  round_.emplace(loop_, round_end_.get(), [this](bool, bool) {
    round_.reset();
    round_end_.Reset();
    hand_over_timer_.emplace(loop_, [this] { HandOver(); });
    hand_over_timer_->Start(std::chrono::milliseconds(0));
  });
  if (!round_->valid()) {
    return MakeError(error_code::kLimitReached,
                     "the system does not let forkserverd watch a pipe");
  }
  // Its other end is closed here, which is what it waits for.
  HoldStopSignals();
  return {};
}

void Daemon::EndUpgrade(const Error& why) {
  Log(LogLevel::kError, "not upgraded: " + why.ToString());
  upgrade_.reset();
  dispatcher_->AnswerUpgrade(why);
}

protocol::HandedDaemon Daemon::WriteDown(HandedFds& fds) const {
  protocol::HandedDaemon handed;
  handed.version = kVersion;
  handed.program = upgrade_ ? upgrade_->program : program_;
  handed.old_path = program_;
  handed.has_terminal = has_terminal_;
  handed.old_program = fds.Add(own_program_);
  handed.upgrades = upgrades_;
  handed.log_path = log_path_;
  handed.notify = manager_.address();
  protocol::HandedControl control;
  control.claim = claim_.WriteDown(fds);
  control.last_connection = static_cast<std::int64_t>(listener_->last_id());
  dispatcher_->WriteDown(fds, control);
  std::set<std::int64_t> protocols;
  for (const auto& connection : control.connections) {
    // 0: it has not said hello.
    if (connection.protocol != 0) protocols.insert(connection.protocol);
  }
  handed.client_protocols = ListOf(protocols);
  handed.zygote_protocols = ListOf(launcher_->ZygoteProtocols());
  handed.control.data = protocol::EncodeBody(control);
  handed.supervisor.data = protocol::EncodeBody(supervisor_.WriteDown());
  handed.launcher.data = protocol::EncodeBody(launcher_->WriteDown(fds));
  handed.services.data = protocol::EncodeBody(services_->WriteDown(fds));
  handed.fds = fds.numbers();
  return handed;
}

void Daemon::HandOver() {
  // What has come of the last round.
  Settle();
  Error why;
  if (supervisor_.shutting_down()) {
    why = MakeError(error_code::kDaemonStopping,
                    "forkserverd was told to stop while it was upgraded",
                    "start the new one when it has stopped");
  } else if (auto file = IdentityOf(upgrade_->program);
             !file || *file != upgrade_->file) {
    why = Failed("open", upgrade_->program + " was changed while it was tried",
                 "upgrade again");
  } else {
    HandedFds fds;
    const protocol::HandedDaemon handed = WriteDown(fds);
    Result<UniqueFd> state = WriteState(handed);
    why = state ? Failed("exec", CallSuccessor(upgrade_->program, options_.argv,
                                               Call::Kind::kTakeOver, *state,
                                               handed.fds))
                : Failed("write", state.error());
  }
  ReleaseStopSignals();
  EndUpgrade(why);
  Settle();
}

std::unique_ptr<Daemon> Daemon::TakeOver(
    const Options& options, const protocol::HandedDaemon& handed,
    const std::string& refused,
    const std::function<void(const Error&)>& give_up) {
  // What may fail comes first. While `give_up` runs everything that was made is
  // still there, and nothing was sent, closed or killed.
  const bool is_back = !refused.empty();
  if (const auto judged = Judge(handed); !judged.why_not.empty() && !is_back) {
    give_up(Failed("take_over", judged.why_not, judged.hint));
  }
  auto control =
      protocol::DecodeBody<protocol::HandedControl>(handed.control.data)
          .value();
  auto supervisor =
      protocol::DecodeBody<protocol::HandedSupervisor>(handed.supervisor.data)
          .value();
  auto launcher =
      protocol::DecodeBody<protocol::HandedLauncher>(handed.launcher.data)
          .value();
  auto services =
      protocol::DecodeBody<protocol::HandedServices>(handed.services.data)
          .value();
  const std::string instance = supervisor.instance;
  auto prepared = Launcher::Prepare(instance, launcher);
  if (!prepared) give_up(prepared.error());
  std::unique_ptr<Daemon> daemon(new Daemon(options,
                                            SocketClaim::Resume(control.claim),
                                            std::move(*prepared), instance));
  daemon->manager_ = ServiceManager(handed.notify);
  daemon->upgrades_ = handed.upgrades + (is_back ? 0 : 1);
  daemon->program_ = is_back ? handed.old_path : handed.program;
  daemon->has_terminal_ = handed.has_terminal;
  if (auto added = daemon->AddServices(); !added) give_up(added.error());
  if (auto added = daemon->AddControl(
          handed.log_path, static_cast<OwnerId>(control.last_connection));
      !added) {
    give_up(added.error());
  }
  if (auto resumed = daemon->launcher_->Resume(launcher); !resumed) {
    give_up(resumed.error());
  }
  daemon->supervisor_.Resume(std::move(supervisor));
  if (auto resumed = daemon->services_->Resume(std::move(services)); !resumed) {
    give_up(resumed.error());
  }
  if (auto resumed = daemon->dispatcher_->Resume(control); !resumed) {
    give_up(resumed.error());
  }

  // There is no way back from here.
  TakeHanded(handed.old_program).Reset();
  if (is_back) {
    daemon->EndUpgrade(Failed("take_over", refused));
  } else {
    Log(LogLevel::kInfo, std::string("upgraded from forkserverd ") +
                             handed.version + " to " + kVersion);
    daemon->dispatcher_->AnswerUpgrade(
        protocol::UpgradeReply{handed.version, kVersion});
  }
  daemon->Settle();
  return daemon;
}

}  // namespace forkserver::server
