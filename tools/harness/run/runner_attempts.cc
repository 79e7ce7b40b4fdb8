// The part of Runner that makes workers and takes what they say.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/process/platform.h"
#include "tools/harness/run/runner.h"
#include "tools/harness/run/tokens.h"
#include "tools/harness/run/worker_name.h"

namespace forkserver::harness {
namespace {

// What a process that just ended still holds open is closed by then. So long
// one may also be on its way out that the test has ended, and not waited for.
constexpr std::int64_t kGiveUpNs = 100'000'000;
// Most tests have ended by then, and then their streams need not be watched:
// what they wrote is in the pipes.
constexpr std::int64_t kWatchAfterNs = 2'000'000;
// More than a pipe can hold: what comes after is not from the worker.
constexpr std::size_t kMostAfterEndBytes = 2u << 20;

constexpr const char* kStreamNames[] = {"its standard output",
                                        "its standard error"};

void SetVariable(std::vector<std::string>& env, const std::string& name,
                 const std::string& value) {
  const std::string prefix = name + "=";
  for (std::string& each : env) {
    if (each.compare(0, prefix.size(), prefix) == 0) {
      each = prefix + value;
      return;
    }
  }
  env.push_back(prefix + value);
}

}  // namespace

void Runner::StartUnit(Slot& slot, Unit unit) {
  slot.busy = true;
  slot.unit = std::move(unit);
  slot.tests.clear();
  for (const std::size_t test : slot.unit.tests) {
    slot.tests.push_back(&plan_.tests[test]);
  }
  slot.serial = next_serial_++;
  slot.attempt_id =
      plan_.run_id + "-" + std::to_string(slot.serial) + "#" +
      std::to_string(AttemptNumber(slot.unit, slot.unit.tests.front()));
  slot.worker.reset();
  slot.end = {};
  slot.end.leaks = options_.leaks;
  slot.ended = false;
  slot.begun_ns = MonotonicNanoseconds();
  slot.begun_clock_ns = clock_.NowNs();
  slot.told = 0;
  slot.ended_seen = 0;
  slot.slow = false;
  slot.watch_at_ns = slot.begun_clock_ns + kWatchAfterNs;
  slot.slow_at_ns = slot.stop_at_ns = slot.kill_at_ns = 0;
  slot.give_up_at_ns = 0;
  slot.term_sent = false;
  TellBegun(slot, 0);

  Result<void> revived = ReviveIfNeeded(slot.unit.target);
  Result<Launch> launch = revived ? PrepareLaunch(slot) : revived.error();
  if (launch) return Send(slot, *launch);
  slot.end.launch_error = launch.error();
  slot.ended = true;
}

Result<Launch> Runner::PrepareLaunch(Slot& slot) {
  if (auto prepared = slot.files.Prepare(); !prepared) return prepared.error();
  Launch launch =
      targets_[slot.unit.target]->MakeLaunch(slot.tests, slot.files.files());
  WorkerOptions& worker =
      std::visit([](auto& each) -> WorkerOptions& { return each; }, launch);
  PrepareProcess(slot, worker);
  // Of an exec worker that crashes only the daemon can say where it was.
  worker.crash_report = std::holds_alternative<SpawnOptions>(launch);
  worker.report_leftovers = options_.leaks != LeakPolicy::kOff;
  if (auto opened = OpenStreams(slot, worker); !opened) return opened.error();
  return launch;
}

void Runner::PrepareProcess(Slot& slot, WorkerOptions& worker) {
  const TestCase& first = *slot.tests.front();
  worker.name = WorkerNameOf(first.id);
  worker.grace = rules_[slot.unit.tests.front()].grace;
  if (!worker.env) worker.env = options_.env;
  SetVariable(*worker.env, "TMPDIR", slot.files.tmp());
  std::vector<std::string>& env = *worker.env;
  env.push_back("FORKSERVER_TEST_SLOT=" + std::to_string(slot.number));
  env.push_back("FORKSERVER_TEST_RUN_ID=" + plan_.run_id);
  env.push_back("FORKSERVER_TEST_ATTEMPT=" + slot.attempt_id);
  if (slot.tests.size() == 1) {
    env.push_back("FORKSERVER_TEST_NAME=" + first.name());
  }
  worker.null_streams = true;
  worker.fds[kReportFd] = slot.files.page_fd();
}

Result<void> Runner::OpenStreams(Slot& slot, WorkerOptions& worker) {
  worker.fds[STDIN_FILENO] = null_.get();
  if (options_.output == RunnerOptions::Output::kInherit) {
    worker.fds[STDOUT_FILENO] = STDOUT_FILENO;
    worker.fds[STDERR_FILENO] = STDERR_FILENO;
    return {};
  }
  for (int stream = 0; stream < 2; ++stream) {
    Result<OutputPipe> pipe = OutputPipe::Open();
    if (!pipe) return pipe.error();
    worker.fds[stream + 1] = pipe->write_fd();
    slot.streams[stream].pipe.emplace(*std::move(pipe));
  }
  return {};
}

void Runner::Send(Slot& slot, const Launch& launch) {
  const auto done = [this, index = static_cast<std::size_t>(slot.number),
                     serial = slot.serial](Result<Worker> worker) {
    Slot& launched = *slots_[index];
    if (launched.serial == serial) OnLaunched(launched, std::move(worker));
  };
  Client& client = daemon_.client();
  if (const auto* spawn = std::get_if<SpawnOptions>(&launch)) {
    client.SpawnAsync(*spawn, done);
  } else {
    client.ForkAsync(std::get<ForkOptions>(launch), done);
  }
  for (Stream& stream : slot.streams) {
    if (stream.pipe) stream.pipe->CloseWriteEnd();
  }
}

void Runner::OnLaunched(Slot& slot, Result<Worker> worker) {
  if (!worker) {
    // One that stops answers still, and runs nothing any more.
    connection_lost_ |= worker.error().code == error_code::kDaemonStopping;
    slot.end.launch_error = worker.error();
    slot.ended = true;
    return;
  }
  const Rules& rules = rules_[slot.unit.tests.front()];
  const std::int64_t now_ns = clock_.NowNs();
  if (rules.slow_after.count() > 0) {
    slot.slow_at_ns = now_ns + rules.slow_after.count() * 1'000'000;
  }
  if (rules.timeout.count() > 0) {
    slot.stop_at_ns = now_ns + rules.timeout.count() * 1'000'000;
  }
  slot.worker = *std::move(worker);
  daemon_.client().OnExit(slot.worker->id,
                          [this, index = static_cast<std::size_t>(slot.number),
                           serial = slot.serial](Result<ExitRecord> record) {
                            Slot& ended = *slots_[index];
                            if (ended.serial == serial)
                              OnEnded(ended, std::move(record));
                          });
}

void Runner::OnEnded(Slot& slot, Result<ExitRecord> record) {
  if (record) {
    connection_lost_ |= record->reason == EndReason::kDaemonStopping;
    slot.end.record = *std::move(record);
  } else {
    slot.end.launch_error = record.error();
  }
  slot.ended = true;
}

void Runner::WatchStreams(Slot& slot) {
  slot.watch_at_ns = 0;
  for (int stream = 0; stream < 2; ++stream) {
    Stream& source = slot.streams[stream];
    if (!source.pipe || source.watched) continue;
    // If it fails they are read on every tick all the same.
    source.watched =
        poll_set_
            ->Add(source.pipe->read_fd(),
                  StreamToken(static_cast<std::size_t>(slot.number), stream))
            .has_value();
  }
}

OutputPipe::State Runner::DrainStream(Slot& slot, int stream) {
  Stream& source = slot.streams[stream];
  if (!source.pipe) return OutputPipe::State::kEnded;
  const bool live = options_.output == RunnerOptions::Output::kLive;
  const auto state = source.pipe->Drain([&](std::string_view text) {
    source.text.Append(text);
    if (live) reporters_.OnOutput(Describe(slot), stream + 1, text);
  });
  if (state == OutputPipe::State::kEnded) CloseStream(slot, stream);
  return state;
}

void Runner::CloseStream(Slot& slot, int stream) {
  Stream& source = slot.streams[stream];
  if (!source.pipe) return;
  if (source.watched) poll_set_->Remove(source.pipe->read_fd());
  source.watched = false;
  source.pipe.reset();
}

void Runner::Settle(Slot& slot) {
  bool all_ended = true;
  for (int stream = 0; stream < 2; ++stream) {
    auto state = OutputPipe::State::kMore;
    for (std::size_t size = 0;
         size < kMostAfterEndBytes && state == OutputPipe::State::kMore;
         size += OutputPipe::kMostAtOnceBytes) {
      state = DrainStream(slot, stream);
    }
    all_ended &= state == OutputPipe::State::kEnded;
  }
  const std::int64_t now_ns = clock_.NowNs();
  const bool search = orphans_ && slot.end.record && !connection_lost_;
  std::vector<Orphan> left;
  if (search) {
    left = orphans_->Find(slot.attempt_id, slot.files.page_name(),
                          static_cast<pid_t>(slot.end.record->pid));
  }
  if (!all_ended || !left.empty()) {
    if (slot.give_up_at_ns == 0) {
      slot.give_up_at_ns = now_ns + kGiveUpNs;
      WatchStreams(slot);
    }
    if (now_ns < slot.give_up_at_ns && interrupts_ < 2) return;
    for (const Orphan& each : left) {
      slot.end.leaked.push_back(std::to_string(each.pid) + " " + each.command);
      SignalProcess(each.process.get(), SIGKILL);
    }
    for (int stream = 0; stream < 2; ++stream) {
      if (!slot.streams[stream].pipe) continue;
      if (options_.leaks != LeakPolicy::kOff) {
        slot.end.leaked.emplace_back(kStreamNames[stream]);
      }
      CloseStream(slot, stream);
    }
  }
  if (slot.end.record) {
    // Those of its process group, which the daemon has killed.
    const auto& killed = slot.end.record->leftovers;
    slot.end.leaked.insert(slot.end.leaked.begin(), killed.begin(),
                           killed.end());
  }
  Finish(slot);
}

}  // namespace forkserver::harness
