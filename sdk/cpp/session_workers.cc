// The part of Session that makes workers and tells how they ended.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/base/unix_socket.h"
#include "sdk/cpp/session.h"

namespace forkserver {
namespace {

constexpr std::size_t kToldRecordsKept = 1024;
// More than this a pipe cannot hold (/proc/sys/fs/pipe-max-size).
constexpr std::size_t kMaxPipeBytes = 1 << 20;

// Copies that live until the daemon has answered. macOS may collect a socket
// that is in flight and that nobody holds.
std::shared_ptr<std::vector<UniqueFd>> KeepOpen(
    [[maybe_unused]] const std::vector<int>& fds) {
  auto copies = std::make_shared<std::vector<UniqueFd>>();
#ifdef __APPLE__
  for (const int fd : fds) {
    copies->emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
#endif
  return copies;
}

// Appends what is in the pipe now, up to its capacity. False: end of file.
Result<bool> DrainPipe(int pipe, std::string& bytes) {
  char buffer[64 * 1024];
  for (std::size_t total = 0; total < kMaxPipeBytes;) {
    const ssize_t size = ::read(pipe, buffer, sizeof(buffer));
    if (size > 0) {
      bytes.append(buffer, static_cast<std::size_t>(size));
      total += static_cast<std::size_t>(size);
    } else if (size == 0) {
      return false;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno != EINTR) {
      return SystemError("read(result pipe)", errno);
    }
  }
  return true;
}

}  // namespace

template <typename Request>
void Session::Launch(const Request& request, const std::vector<int>& fds,
                     const std::function<void(Result<Worker>)>& done) {
  const bool watch = request.policy.watch;
  auto handler = [this, watch, done, kept = KeepOpen(fds),
                  worker_id =
                      std::string()](const Connection::Answer& answer) mutable {
    kept.reset();
    if (!worker_id.empty()) {
      FinishOwn(worker_id, DecodeAnswer<ExitRecord>(answer));
      return;
    }
    auto reply = DecodeAnswer<protocol::WorkerReply>(answer);
    if (reply && watch) {
      worker_id = reply->worker.id;
      own_[worker_id];
    }
    done(reply ? Result<Worker>(std::move(reply->worker)) : reply.error());
  };
  auto sent = connection_->Request(
      request, fds,
      watch ? Connection::Answers::kUntilExit : Connection::Answers::kOne,
      std::move(handler));
  if (!sent) done(sent.error());
}

Result<Session::Prepared<protocol::Spawn>> Session::PrepareSpawn(
    const SpawnOptions& options) {
  if (auto checked = CheckProgram(options.argv); !checked) {
    return checked.error();
  }
  auto policy = PreparePolicy(options);
  if (!policy) return policy.error();
  auto prepared = PrepareSetup(options, options.argv);
  if (!prepared) return prepared.error();
  Prepared<protocol::Spawn> result;
  result.request.setup.data = protocol::EncodeBody(prepared->setup);
  result.request.policy = *std::move(policy);
  result.fds = std::move(prepared->fds);
  return result;
}

Result<Session::Prepared<protocol::Fork>> Session::PrepareFork(
    const ForkOptions& options, int result_fd) {
  auto policy = PreparePolicy(options);
  if (!policy) return policy.error();
  auto prepared = PrepareSetup(options, options.argv);
  if (!prepared) return prepared.error();
  prepared->setup.entry = options.entry;
  prepared->setup.args.data = options.args;
  if (result_fd >= 0) {
    prepared->setup.result = static_cast<std::int64_t>(prepared->fds.size());
    prepared->fds.push_back(result_fd);
    // Whoever reads the result also needs the record.
    policy->watch = true;
  }
  Prepared<protocol::Fork> result;
  result.request.zygote = options.zygote;
  result.request.setup.data = protocol::EncodeBody(prepared->setup);
  result.request.policy = *std::move(policy);
  result.fds = std::move(prepared->fds);
  return result;
}

void Session::StartSpawn(const SpawnOptions& options,
                         const std::function<void(Result<Worker>)>& done) {
  auto prepared = PrepareSpawn(options);
  if (!prepared) return done(prepared.error());
  Launch(prepared->request, prepared->fds, done);
}

void Session::StartFork(const ForkOptions& options, int result_fd,
                        const std::function<void(Result<Worker>)>& done) {
  auto prepared = PrepareFork(options, result_fd);
  if (!prepared) return done(prepared.error());
  Launch(prepared->request, prepared->fds, done);
}

template <typename Request>
Result<ExitRecord> Session::RunToExit(Result<Prepared<Request>> prepared) {
  if (!prepared) return prepared.error();
  prepared->request.policy.exit_only = true;
  const auto slot = std::make_shared<std::optional<Result<ExitRecord>>>();
  auto sent = connection_->Request(
      prepared->request, prepared->fds, Connection::Answers::kUntilExit,
      [slot, kept = KeepOpen(prepared->fds)](const Connection::Answer& answer) {
        *slot = DecodeAnswer<ExitRecord>(answer);
      });
  if (!sent) return sent.error();
  auto pumped = PumpUntil([&slot] { return slot->has_value(); });
  if (!pumped) return pumped.error();
  return std::move(**slot);
}

Result<ExitRecord> Session::Run(const SpawnOptions& options) {
  return RunToExit(PrepareSpawn(options));
}

Result<ExitRecord> Session::Run(const ForkOptions& options) {
  return RunToExit(PrepareFork(options, -1));
}

template <typename Start>
Result<Worker> Session::AwaitLaunch(Start start) {
  const auto slot = std::make_shared<std::optional<Result<Worker>>>();
  start([slot](Result<Worker> worker) { *slot = std::move(worker); });
  auto pumped = PumpUntil([&slot] { return slot->has_value(); });
  if (!pumped) return pumped.error();
  return std::move(**slot);
}

Result<Worker> Session::Spawn(const SpawnOptions& options) {
  return AwaitLaunch([&](const auto& done) { StartSpawn(options, done); });
}

Result<Worker> Session::Fork(const ForkOptions& options) {
  return AwaitLaunch([&](const auto& done) { StartFork(options, -1, done); });
}

void Session::SpawnAsync(const SpawnOptions& options,
                         std::function<void(Result<Worker>)> done) {
  StartSpawn(options, [this, done = std::move(done)](Result<Worker> worker) {
    callbacks_.push_back([done, worker = std::move(worker)] { done(worker); });
  });
  // A failure, or what was read while the daemon's side was full: nothing of
  // it would make the descriptor readable.
  RunCallbacks();
}

void Session::ForkAsync(const ForkOptions& options,
                        std::function<void(Result<Worker>)> done) {
  StartFork(options, -1, [this, done = std::move(done)](Result<Worker> worker) {
    callbacks_.push_back([done, worker = std::move(worker)] { done(worker); });
  });
  RunCallbacks();
}

void Session::StartZygoteAsync(const ZygoteOptions& options,
                               std::function<void(Result<ZygoteInfo>)> done) {
  const auto finish = [this, done = std::move(done)](Result<ZygoteInfo> info) {
    callbacks_.push_back([done, info = std::move(info)] { done(info); });
  };
  auto prepared = PrepareZygoteStart(options);
  Result<void> sent = prepared ? Result<void>() : prepared.error();
  if (prepared) {
    auto handler = [finish, kept = KeepOpen(prepared->fds)](
                       const Connection::Answer& answer) mutable {
      kept.reset();
      auto reply = DecodeAnswer<protocol::ZygoteReply>(answer);
      finish(reply ? Result<ZygoteInfo>(std::move(reply->zygote))
                   : reply.error());
    };
    sent = connection_->Request(prepared->request, prepared->fds,
                                Connection::Answers::kOne, std::move(handler));
  }
  if (!sent) finish(sent.error());
  RunCallbacks();
}

void Session::StopZygoteAsync(const std::string& name,
                              std::function<void(Result<void>)> done) {
  const auto finish = [this,
                       done = std::move(done)](const Result<void>& stopped) {
    callbacks_.push_back([done, stopped] { done(stopped); });
  };
  auto sent = connection_->Request(
      protocol::ZygoteStop{name}, {}, Connection::Answers::kOne,
      [finish](const Connection::Answer& answer) {
        auto reply = DecodeAnswer<protocol::Done>(answer);
        finish(reply ? Result<void>() : reply.error());
      });
  if (!sent) finish(sent.error());
  RunCallbacks();
}

Result<CallResult> Session::Call(const ForkOptions& options) {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  SetNonBlocking(pipe->read_end.get());
  Result<Worker> worker = AwaitLaunch([&](const auto& done) {
    StartFork(options, pipe->write_end.get(), done);
  });
  if (!worker) return worker.error();
  pipe->write_end.Reset();
  Result<std::string> bytes = ReadResult(pipe->read_end.get(), worker->id);
  if (!bytes) return bytes.error();
  Result<ExitRecord> record = Wait(worker->id, std::nullopt);
  if (!record) return record.error();
  return CallResult{*std::move(bytes), *std::move(record)};
}

Result<std::string> Session::ReadResult(int pipe,
                                        const std::string& worker_id) {
  std::string bytes;
  bool open = true;
  while (true) {
    // In this order: what the worker wrote is in the pipe before its record
    // is here. A descendant of it may keep the pipe open for ever.
    const bool ended = own_.count(worker_id) == 0 || HasRecord(worker_id);
    if (open) {
      Result<bool> drained = DrainPipe(pipe, bytes);
      if (!drained) return drained.error();
      open = *drained;
    }
    if (ended) return bytes;
    auto readable = connection_->AwaitReadable({}, open ? pipe : -1);
    if (!readable) return readable.error();
    (void)connection_->ReadAvailable();
    RunCallbacks();
  }
}

bool Session::HasRecord(const std::string& worker_id) const {
  const auto own = own_.find(worker_id);
  return own != own_.end() && own->second.record.has_value();
}

Result<ExitRecord> Session::HandOut(const std::string& worker_id) {
  const auto own = own_.find(worker_id);
  Result<ExitRecord> record = *std::move(own->second.record);
  own_.erase(own);
  return record;
}

void Session::FinishOwn(const std::string& worker_id,
                        Result<ExitRecord> record) {
  const auto found = own_.find(worker_id);
  if (found == own_.end()) return;
  if (!record && connection_->lost()) {
    record = connection_->LossError("the end of worker " + worker_id);
  }
  OwnWorker& own = found->second;
  for (auto& on_exit : std::exchange(own.on_exit, {})) {
    callbacks_.push_back(
        [on_exit = std::move(on_exit), record] { on_exit(record); });
    told_.push_back(worker_id);
  }
  own.record = std::move(record);
  if (own.handed_out) own_.erase(found);
  for (; told_.size() > kToldRecordsKept; told_.pop_front()) {
    if (told_.front() != worker_id) own_.erase(told_.front());
  }
}

void Session::OnExit(const std::string& worker_id,
                     std::function<void(Result<ExitRecord>)> done) {
  const auto own = own_.find(worker_id);
  if (own != own_.end() && !own->second.handed_out) {
    if (own->second.record) {
      callbacks_.push_back([done = std::move(done),
                            record = *own->second.record] { done(record); });
    } else {
      own->second.on_exit.push_back(std::move(done));
    }
    return RunCallbacks();
  }
  // A detached worker, or one whose record was handed out: the daemon knows.
  auto handler = [this, done](const Connection::Answer& answer) {
    auto reply = DecodeAnswer<protocol::ExitReply>(answer);
    callbacks_.push_back([done, reply = std::move(reply)] {
      done(reply ? Result<ExitRecord>(reply->exit) : reply.error());
    });
  };
  auto sent =
      connection_->Request(protocol::Wait{worker_id}, {},
                           Connection::Answers::kOne, std::move(handler));
  if (!sent) {
    callbacks_.push_back([done, error = sent.error()] { done(error); });
  }
  RunCallbacks();
}

Result<ExitRecord> Session::Wait(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> timeout) {
  const Deadline deadline =
      timeout ? Deadline::After(*timeout) : Deadline::Never();
  const auto late = [&] {
    return MakeError(error_code::kTimeout,
                     "worker " + worker_id + " has not ended within " +
                         std::to_string(timeout->count()) + " ms");
  };
  const auto own = own_.find(worker_id);
  if (own != own_.end() && !own->second.handed_out) {
    auto ended = PumpUntil(
        [&] { return own_.count(worker_id) == 0 || HasRecord(worker_id); },
        deadline);
    if (!ended) return ended.error();
    if (!*ended) return late();
    // Else a callback took so many records that this one was dropped.
    if (HasRecord(worker_id)) return HandOut(worker_id);
  }
  // One request per worker, however often the caller gives up and comes back.
  auto& waiting = waits_[worker_id];
  if (!waiting) {
    waiting = std::make_shared<std::optional<Result<protocol::ExitReply>>>();
    auto sent = connection_->Request(
        protocol::Wait{worker_id}, {}, Connection::Answers::kOne,
        [slot = waiting](const Connection::Answer& answer) {
          *slot = DecodeAnswer<protocol::ExitReply>(answer);
        });
    if (!sent) {
      waits_.erase(worker_id);
      return sent.error();
    }
  }
  const auto slot = waiting;
  auto ended = PumpUntil([&] { return slot->has_value(); }, deadline);
  if (ended && !*ended) return late();
  waits_.erase(worker_id);
  if (!ended) return ended.error();
  if (!**slot && connection_->lost()) {
    return connection_->LossError("the end of worker " + worker_id);
  }
  if (!**slot) return (*slot)->error();
  return std::move((**slot)->exit);
}

Result<ExitRecord> Session::Stop(
    const std::string& worker_id,
    std::optional<std::chrono::milliseconds> grace) {
  if (HasRecord(worker_id)) return HandOut(worker_id);
  protocol::Stop request;
  request.worker = worker_id;
  if (grace) request.grace_ms = grace->count();
  auto reply = Ask<protocol::ExitReply>(request);
  const auto own = own_.find(worker_id);
  if (own != own_.end() && !own->second.handed_out) {
    // It ended by itself meanwhile; its record is here or on its way.
    if (!reply && reply.error().code == error_code::kWorkerEnded) {
      return Wait(worker_id, std::nullopt);
    }
    if (own->second.record && (reply || *own->second.record)) {
      return HandOut(worker_id);
    }
    if (reply) own->second.handed_out = true;
  }
  if (!reply) return reply.error();
  return std::move(reply->exit);
}

}  // namespace forkserver
