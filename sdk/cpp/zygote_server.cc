#include "sdk/cpp/zygote_server.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "sdk/cpp/zygote_startup.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/messages.h"

namespace forkserver {
namespace {

// A stream of requests must not keep the ends of children waiting for ever.
constexpr int kRequestsPerCollectAll = 64;
// Of many children, a look at all that finds none takes at most this part of
// the time; one that finds thousands must not put off the next for seconds.
constexpr std::int64_t kCollectAllPart = 50;
constexpr std::int64_t kMaxCollectAllPauseNs = 100'000'000;

void Log(const Error& error) {
  std::fprintf(stderr, "forkserver: zygote: %s\n", error.ToString().c_str());
}

}  // namespace

ZygoteServer::ZygoteServer(const ZygoteRegistry& registry,
                           ZygoteChannels channels)
    : registry_(registry),
      channels_(std::move(channels)),
      pid_(::getpid()),
      reader_(protocol::kMaxFrameBytes),
      children_(channels_.report.get()) {}

ZygoteServer::Outcome ZygoteServer::Run() noexcept {
  null_.Reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_ || !BelowSelectLimit(channels_.control)) {
    const Error error = SystemError("open(/dev/null)", errno);
    Log(error);
    if (channels_.control) SendZygoteFailed(channels_.control.get(), error);
    return {std::nullopt, kSetupFailedExitCode};
  }
  StartUp start = StartZygote(
      channels_.control.get(),
      [this](const protocol::Configure& configure) {
        if (configure.takes_spares) {
          spares_.Start(static_cast<std::size_t>(configure.spares_min),
                        static_cast<std::size_t>(configure.spares_max));
        }
        return std::vector<int>{channels_.control.get(), channels_.report.get(),
                                null_.get()};
      },
      reader_, registry_);
  if (!start.configure) return {std::nullopt, start.exit_code};
  self_ = std::move(start.self);
  kept_fds_ = std::move(start.kept_fds);
  audit_policy_ = start.configure->audit_policy;
  if (start.configure->crash_reports) {
    crash_slots_.Start();
    children_.ReportCrashes(crash_slots_);
  }
  // As it was before the preload steps: what they set is not the request's.
  frozen_.emplace(std::move(channels_.environment),
                  std::move(start.configure->freeze));
  signals_.emplace();
  PreferShortSlices();

  Next next = Next::kGoOn;
  while (next == Next::kGoOn) next = Turn();
  if (next == Next::kBecomeZygote) return {std::move(forked_zygote_), 0};
  if (next == Next::kRetired) {
    // Open until the process ends: for the daemon their end is the zygote's,
    // which has its grace now.
    static_cast<void>(channels_.control.Release());
    static_cast<void>(channels_.report.Release());
    return {};
  }
  // The daemon takes the workers over, and tells that their zygote died.
  if (next == Next::kBroken) return {std::nullopt, kSetupFailedExitCode};
  children_.KillAndCollect();
  return {};
}

ZygoteServer::Next ZygoteServer::Turn() {
  CollectHinted();
  if (retired_ && children_.empty()) return Next::kRetired;
  auto frame = reader_.Next();
  if (!frame) {
    Log(frame.error());
    return Next::kBroken;
  }
  if (frame->has_value()) {
    const Next next = HandleFrame(**frame);
    if (next != Next::kGoOn) return next;
    if (++requests_since_collect_all_ >= kRequestsPerCollectAll &&
        IsCollectAllDue()) {
      CollectAll();
    }
    signals_->Poll();
    return Next::kGoOn;
  }
  if (fds_lost_) {
    fds_lost_ = false;
    next_fds_lost_ = !reader_.at_boundary();
    reader_.TakeFds(reader_.fds_available());
  }
  switch (signals_->Wait(channels_.control.get(), WaitNs())) {
    case ZygoteSignals::Wake::kInterrupted:
      return Next::kGoOn;
    case ZygoteSignals::Wake::kIdle:
      if (collect_all_ && IsCollectAllDue()) {
        CollectAll();
      } else {
        ForkSpare();
      }
      return Next::kGoOn;
    case ZygoteSignals::Wake::kReadable:
      return ReadControl();
  }
  return Next::kGoOn;
}

void ZygoteServer::CollectHinted() {
  signals_->TakeHints(hinted_);
  if (hinted_.empty()) return;
  for (const pid_t pid : hinted_) children_.CollectOne(pid);
  hinted_.clear();
  collect_all_ = true;
  if (!children_.are_few()) children_.CollectNewest();
  WithdrawEndedSpares();
}

bool ZygoteServer::IsCollectAllDue() const {
  return children_.are_few() ||
         MonotonicNanoseconds() >= collect_all_not_before_ns_;
}

std::int64_t ZygoteServer::WaitNs() const {
  if (collect_all_ && children_.are_few()) return 0;
  const std::int64_t now_ns = MonotonicNanoseconds();
  const std::int64_t spare_ns = spares_.NextInNs(now_ns);
  if (!collect_all_) return spare_ns;
  const std::int64_t collect_ns =
      std::max<std::int64_t>(0, collect_all_not_before_ns_ - now_ns);
  return spare_ns < 0 ? collect_ns : std::min(spare_ns, collect_ns);
}

void ZygoteServer::CollectAll() {
  collect_all_ = false;
  requests_since_collect_all_ = 0;
  const std::int64_t begun_ns = MonotonicNanoseconds();
  children_.CollectAll();
  const std::int64_t ended_ns = MonotonicNanoseconds();
  collect_all_not_before_ns_ =
      ended_ns +
      std::min(kCollectAllPart * (ended_ns - begun_ns), kMaxCollectAllPauseNs);
  WithdrawEndedSpares();
}

ZygoteServer::Next ZygoteServer::ReadControl() {
  auto status = reader_.Receive(channels_.control.get());
  if (!status) {
    Log(status.error());
    return Next::kBroken;
  }
  if (reader_.TakeFdsLost()) fds_lost_ = true;
  return *status == protocol::FrameReader::Status::kClosed ? Next::kDaemonGone
                                                           : Next::kGoOn;
}

std::vector<UniqueFd> ZygoteServer::TakeFds(std::uint64_t count,
                                            bool& complete) {
  // One receive ends with the first byte that carries descriptors, so of the
  // whole frames in the reader only the last can lack some, and of two
  // frames' descriptors none get mixed up.
  if (std::exchange(next_fds_lost_, false)) {
    complete = count == 0;
    return {};
  }
  complete = reader_.fds_available() >= count;
  if (!complete) fds_lost_ = false;
  return reader_.TakeFds(static_cast<std::size_t>(count));
}

ZygoteServer::Next ZygoteServer::HandleFrame(std::string_view payload) {
  auto message = protocol::Message::Parse(payload);
  if (!message) {
    Log(message.error());
    return Next::kBroken;
  }
  const protocol::Envelope& envelope = message->envelope();
  bool complete = true;
  std::vector<UniqueFd> fds = TakeFds(envelope.fds, complete);

  if (envelope.type == protocol::ForkWorker::kType) {
    auto body = message->Decode<protocol::ForkWorker>();
    if (body) {
      ForkWorker(MakeForkRequest(*std::move(body), std::move(fds)), complete);
    } else {
      Log(body.error());
    }
  } else if (envelope.type == protocol::ForkZygote::kType) {
    auto body = message->Decode<protocol::ForkZygote>();
    if (body) {
      return ForkZygote(MakeForkRequest(*std::move(body), std::move(fds)),
                        complete);
    }
    Log(body.error());
  } else if (envelope.type == protocol::SignalWorker::kType) {
    auto body = message->Decode<protocol::SignalWorker>();
    if (body) {
      children_.SendSignal(body->worker, static_cast<int>(body->signal),
                           body->group);
    } else {
      Log(body.error());
    }
  } else if (envelope.type == protocol::SpareSettled::kType) {
    auto body = message->Decode<protocol::SpareSettled>();
    if (body) {
      SettleSpare(*body);
    } else {
      Log(body.error());
    }
  } else if (envelope.type == protocol::Retire::kType) {
    retired_ = true;
    spares_.Stop();
    // Those that became workers have been settled before.
    children_.DismissAll();
  }
  // Anything else is from a newer daemon, which can do without.
  return Next::kGoOn;
}

}  // namespace forkserver
