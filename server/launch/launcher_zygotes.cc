// The part of Launcher that makes zygotes and their workers, and has them
// looked at.
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/audit/read_stacks.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "server/launch/launcher.h"
#include "server/launch/setup_fds.h"

namespace forkserver::server {
namespace {

// The daemon's ends and the zygote's ends of a conversation.
struct ZygotePipes {
  SocketPair control;
  Pipe report;
};

Result<ZygotePipes> MakeZygotePipes() {
  Result<SocketPair> control = MakeSocketPair();
  if (!control) return LaunchError("socketpair", control.error());
  Result<Pipe> report = MakePipe();
  if (!report) return LaunchError("pipe", report.error());
  return ZygotePipes{std::move(*control), std::move(*report)};
}

ZygoteAudited NotAudited(ProcessKey zygote, const std::string& why) {
  forkserver::Audit audit;
  audit.verdict = AuditVerdict::kUnknown;
  audit.unreadable.push_back("it could not be looked at: " + why);
  return {zygote, std::move(audit)};
}

// Linux resolves a function's symbol when it is called first, which would be
// in worker after worker. A zygote knows the value and takes it out again.
void BindAtStart(std::vector<std::string>& env) {
  constexpr std::string_view kVariable = "LD_BIND_NOW=";
  const bool is_given =
      std::any_of(env.begin(), env.end(), [&](const std::string& variable) {
        return variable.compare(0, kVariable.size(), kVariable) == 0;
      });
  if (!is_given) env.push_back(std::string(kVariable) + "forkserver");
}

}  // namespace

Result<void> Launcher::LaunchZygote(ProcessKey key, std::string id,
                                    protocol::Setup setup,
                                    const std::vector<UniqueFd>& fds,
                                    const ResourceLimits& limits,
                                    protocol::Configure configure) {
  Result<ZygotePipes> pipes = MakeZygotePipes();
  if (!pipes) return pipes.error();
  // The zygote's ends go to the first two numbers above its other
  // descriptors; its environment names them.
  Result<std::vector<UniqueFd>> duplicates = Duplicate(fds);
  if (!duplicates) return duplicates.error();
  std::vector<UniqueFd> all = std::move(*duplicates);
  const std::int64_t next = FirstFreeNumber(setup);
  bool has_stderr = false;
  for (const protocol::FdPlacement& placement : setup.fds) {
    has_stderr = has_stderr || placement.child_fd == 2;
  }
  const auto place = [&](std::int64_t child_fd, UniqueFd fd) {
    setup.fds.push_back({child_fd, static_cast<std::int64_t>(all.size())});
    all.push_back(std::move(fd));
  };
  place(next, std::move(pipes->control.second));
  place(next + 1, std::move(pipes->report.write_end));
  setup.env.push_back("FORKSERVER_ZYGOTE_CONTROL_FD=" + std::to_string(next));
  setup.env.push_back("FORKSERVER_ZYGOTE_REPORT_FD=" +
                      std::to_string(next + 1));
  BindAtStart(setup.env);
  UniqueFd standard_error;
  if (!has_stderr) {
    Result<Pipe> pipe = MakePipe();
    if (!pipe) return LaunchError("pipe", pipe.error());
    standard_error = std::move(pipe->read_end);
    place(2, std::move(pipe->write_end));
  }
  if (auto launched = LaunchProcess(key, std::move(setup), all, limits,
                                    WorkerTraits(), /*zygote=*/true);
      !launched) {
    return launched.error();
  }
  zygotes_.Add(key, std::move(id), /*parent=*/0,
               std::move(pipes->control.first),
               std::move(pipes->report.read_end), std::move(standard_error),
               std::move(configure));
  return {};
}

Result<void> Launcher::CheckZygoteFrame(const std::string& frame,
                                        ProcessKey zygote) const {
  // What the daemon adds to a request may make it too large to hand on.
  if (frame.size() - protocol::kFrameHeaderBytes > protocol::kMaxFrameBytes) {
    return MakeError(error_code::kFrameTooLarge,
                     "the set-up is too large to hand on to a zygote",
                     "send large data through a descriptor");
  }
  if (!zygotes_.CanTakeMore(zygote)) {
    return MakeError(error_code::kLimitReached,
                     "too many requests wait for the zygote, which does not "
                     "take them",
                     "ask again later; if it hangs, stop it");
  }
  return {};
}

Result<void> Launcher::LaunchNestedZygote(ProcessKey key, std::string id,
                                          ProcessKey parent, std::string setup,
                                          std::vector<UniqueFd> fds,
                                          const ResourceLimits& limits,
                                          protocol::Configure configure) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  if (fds.size() + 2 > protocol::kMaxFds) {
    return MakeError(error_code::kTooManyDescriptors,
                     "a zygote that is forked from another can be given " +
                         std::to_string(protocol::kMaxFds - 2) +
                         " descriptors, not " + std::to_string(fds.size()));
  }
  Result<ZygotePipes> pipes = MakeZygotePipes();
  if (!pipes) return pipes.error();
  fds.push_back(std::move(pipes->control.second));
  fds.push_back(std::move(pipes->report.write_end));
  protocol::ForkZygote request;
  request.worker = id;
  request.setup.data = std::move(setup);
  request.limits = limits;
  std::string frame = protocol::EncodeRequest(0, fds.size(), request);
  if (auto checked = CheckZygoteFrame(frame, parent); !checked) {
    return checked.error();
  }
  auto slot = keeper_.TakeSlot(key);
  if (!slot) return slot.error();
  zygotes_.Add(key, std::move(id), parent, std::move(pipes->control.first),
               std::move(pipes->report.read_end), UniqueFd(),
               std::move(configure), *slot);
  zygotes_.ForkZygote(key, parent, std::move(frame), std::move(fds));
  return {};
}

Result<void> Launcher::LaunchForked(ProcessKey key, std::string id,
                                    ProcessKey zygote, std::string setup,
                                    std::vector<UniqueFd> fds,
                                    const ResourceLimits& limits,
                                    WorkerTraits traits) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  if (traits.crash_report && fds.size() < protocol::kMaxFds) {
    // What cannot be decoded is the zygote's to refuse.
    if (auto decoded = protocol::DecodeBody<protocol::Setup>(setup)) {
      if (auto inserted = InsertRelay(key, *decoded, fds); !inserted) {
        return inserted;
      }
      setup = protocol::EncodeBody(*decoded);
    }
  }
  const auto failed = [&](Error error) {
    relays_.erase(key);
    if (traits.cgroup) cgroups_.Remove(key);
    return error;
  };
  if (traits.cgroup) {
    if (fds.size() >= protocol::kMaxFds) {
      return failed(MakeError(error_code::kTooManyDescriptors,
                              "a forked worker with limits by a cgroup can be "
                              "given " +
                                  std::to_string(protocol::kMaxFds - 1) +
                                  " descriptors"));
    }
    Result<UniqueFd> made = cgroups_.Make(key, *traits.cgroup);
    if (!made) return failed(made.error());
    fds.push_back(*std::move(made));
  }
  protocol::ForkWorker request;
  request.worker = std::move(id);
  request.setup.data = std::move(setup);
  request.limits = limits;
  request.detach = traits.detach;
  request.cgroup = traits.cgroup.has_value();
  if (traits.report_leftovers) request.heir = ::getpid();
  std::string frame = protocol::EncodeRequest(0, fds.size(), request);
  auto done = CheckZygoteFrame(frame, zygote);
  if (done) {
    done =
        zygotes_.Fork(key, zygote, request, std::move(frame), std::move(fds));
  }
  if (!done) return failed(done.error());
  return done;
}

Result<void> Launcher::LaunchCanary(ProcessKey key, std::string id,
                                    ProcessKey zygote) {
  if (auto checked = CheckOneThread(); !checked) return checked.error();
  protocol::Setup setup;
  setup.cwd = "/";
  protocol::ForkWorker request;
  request.worker = std::move(id);
  request.setup.data = protocol::EncodeBody(setup);
  request.canary = true;
  return zygotes_.Fork(key, zygote, request,
                       protocol::EncodeRequest(0, 0, request), {});
}

void Launcher::Audit(ProcessKey zygote, pid_t pid, audit::OwnWords words) {
  Result<void> started = CheckOneThread();
  if (started) {
    started = examiner_.Start(
        [pid, &words](int) {
          auto audit = audit::AuditProcess(pid, words);
          if (audit) return protocol::EncodeBody(*audit);
          forkserver::Audit failed;
          failed.verdict = AuditVerdict::kUnknown;
          failed.unreadable.push_back(audit.error().message);
          return protocol::EncodeBody(failed);
        },
        {.audited = zygote});
  }
  if (!started) {
    events_.push_back(NotAudited(zygote, started.error().message));
  }
  SweepUnwatched();
}

void Launcher::TakeStacks(ProcessKey worker, pid_t zygote_pid) {
  Result<void> started = CheckOneThread();
  if (started) {
    started = examiner_.Start(
        [this, zygote_pid](int) {
          std::string text;
          const auto add = [&text](pid_t pid, const char* what) {
            text += std::string(what) + " (pid " + std::to_string(pid) + "):\n";
            for (const std::string& line : audit::ReadStacks(pid)) {
              text += line + "\n";
            }
          };
          // Those that have not said that they started are not known yet.
          bool any = false;
          for (const pid_t child : audit::ListChildren(zygote_pid)) {
            if (zygotes_.IsStarted(child) || ProcessHasEnded(child)) continue;
            add(child, "a worker that has not begun");
            any = true;
          }
          if (!any) add(zygote_pid, "no worker was forked; the zygote");
          return text;
        },
        {.stacks = worker});
  }
  if (!started) events_.push_back(StacksTaken{worker, {}});
  SweepUnwatched();
}

Result<void> Launcher::TryProgram(const Examiner::Work& work, int keep_fd) {
  auto started = CheckOneThread();
  if (started) started = examiner_.Start(work, {}, keep_fd);
  SweepUnwatched();
  return started;
}

void Launcher::OnExamined(const Examiner::Outcome& outcome,
                          const EndStatus& status) {
  const std::string& bytes = outcome.bytes;
  if (const ProcessKey zygote = outcome.purpose.audited; zygote != 0) {
    auto audit = protocol::DecodeBody<forkserver::Audit>(bytes);
    events_.push_back(
        audit ? ZygoteAudited{zygote, std::move(*audit)}
              : NotAudited(zygote,
                           "whoever looked did not come to an end in " +
                               std::to_string(Examiner::kPatienceSeconds) +
                               " s"));
    return;
  }
  if (outcome.purpose.stacks == 0) {
    events_.push_back(ProgramTried{outcome.bytes, status});
    return;
  }
  StacksTaken taken{outcome.purpose.stacks, {}};
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    taken.lines.push_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  events_.push_back(std::move(taken));
}

}  // namespace forkserver::server
