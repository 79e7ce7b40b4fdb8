// The part of Services that has the output of a service written to its log.
#include <forkserver/types.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "sdk/process/platform.h"
#include "server/services/services.h"

namespace forkserver::server {
namespace {

// No service has this number.
constexpr std::uint64_t kLogWriterToken = ~std::uint64_t{0};
// When the log writer could not be started again.
constexpr std::int64_t kRestartAfterNs = 200'000'000;
constexpr std::int64_t kLeastLogBytes = 4096;

}  // namespace

std::string Services::LogPath(const Service& service) const {
  if (service.definition.policy.log_max_bytes == 0) return {};
  return options_.folder + "/" + service.name + ".log";
}

Result<void> Services::StartLogWriter() {
  if (log_writer_) return {};
  Result<LogWriter> writer = LogWriter::Start();
  if (!writer) return writer.error();
  if (auto added = poll_set_.Add(writer->fd(), kLogWriterToken); !added) {
    return added.error();
  }
  log_writer_.emplace(std::move(*writer));
  return {};
}

void Services::StopLogWriter() {
  if (!log_writer_) return;
  if (restart_log_writer_ns_ == 0) poll_set_.Remove(log_writer_->fd());
  restart_log_writer_ns_ = 0;
  log_writer_is_full_ = false;
  log_writer_.reset();
  logs_.clear();
}

void Services::RestartLogWriter() {
  // What it had not read yet is in the pipes.
  log_writer_is_full_ = false;
  restart_log_writer_ns_ = 0;
  if (log_writer_->Restart()) {
    WatchNewLogWriter();
  } else {
    restart_log_writer_ns_ = MonotonicNanoseconds() + kRestartAfterNs;
  }
}

void Services::WatchNewLogWriter() {
  if (restart_log_writer_ns_ != 0) return;
  if (poll_set_.Add(log_writer_->fd(), kLogWriterToken)) {
    WatchLogWriter();
  } else {
    restart_log_writer_ns_ = MonotonicNanoseconds() + kRestartAfterNs;
  }
}

Result<void> Services::OpenLog(Service& service, protocol::Setup& setup,
                               std::vector<UniqueFd>& fds) {
  const ServicePolicy& policy = service.definition.policy;
  if (policy.log_max_bytes == 0) return {};
  if (auto started = StartLogWriter(); !started) return started;
  LogWriter::Options options;
  options.path = LogPath(service);
  options.max_bytes = std::max(policy.log_max_bytes, kLeastLogBytes);
  options.files = policy.log_files;
  options.drop = policy.log_drop;
  options.note = "run " + std::to_string(service.runs) + " begins";
  options.terminal = policy.pty;
  if (policy.ready == ReadyKind::kLine) options.match = policy.ready_line;
  const std::uint64_t key = ++last_log_;
  Result<LogWriter::Streams> streams = log_writer_->Open(key, options);
  if (!streams) return streams.error();
  WatchLogWriter();
  service.log = key;
  logs_[key] = service.number;
  for (auto [number, end] :
       {std::pair(0, &streams->in), std::pair(1, &streams->out),
        std::pair(2, &streams->err)}) {
    if (!*end) continue;
    setup.fds.push_back({number, static_cast<std::int64_t>(fds.size())});
    fds.push_back(std::move(*end));
  }
  if (policy.pty) setup.group = GroupKind::kTerminal;
  return {};
}

void Services::Note(const Service& service, const std::string& text) {
  if (service.log == 0) return;
  log_writer_->Note(service.log, text);
  WatchLogWriter();
}

void Services::CloseLog(Service& service) {
  if (service.log == 0) return;
  log_writer_->Close(service.log);
  WatchLogWriter();
  service.log = 0;
}

void Services::HearLogWriter() {
  if (!log_writer_ || restart_log_writer_ns_ != 0) return;
  for (const LogWriter::Event& event : log_writer_->Process()) On(event);
  if (log_writer_->ended()) {
    poll_set_.Remove(log_writer_->fd());
    RestartLogWriter();
  }
  WatchLogWriter();
}

void Services::WatchLogWriter() {
  if (restart_log_writer_ns_ != 0) return;
  if (log_writer_is_full_ == log_writer_->wants_write()) return;
  log_writer_is_full_ = log_writer_->wants_write();
  poll_set_.WatchWritable(log_writer_->fd(), kLogWriterToken,
                          log_writer_is_full_);
}

void Services::On(const LogWriter::Event& event) {
  const auto log = logs_.find(event.key);
  if (log == logs_.end()) return;
  Service* const service = ByNumber(log->second);
  if (event.kind == LogWriter::Event::Kind::kClosed) logs_.erase(log);
  // Another run may have begun.
  if (service == nullptr || service->log != event.key) return;
  switch (event.kind) {
    case LogWriter::Event::Kind::kOpened:
      break;
    case LogWriter::Event::Kind::kFailed:
      service->why = "its log cannot be written: " + event.text;
      Publish(*service);
      break;
    case LogWriter::Event::Kind::kMatched:
      BecomeReady(*service);
      break;
    case LogWriter::Event::Kind::kClosed:
      // It has closed its streams, and goes on without.
      service->log = 0;
      break;
  }
}

}  // namespace forkserver::server
