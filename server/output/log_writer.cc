#include "server/output/log_writer.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/pseudo_terminal.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/log_messages.h"
#include "server/output/line_pattern.h"
#include "server/output/log_limits.h"
#include "server/output/log_process.h"

namespace forkserver::server {
namespace {

constexpr std::int64_t kMinFileBytes = 4096;
constexpr std::int64_t kMaxFiles = 100;
constexpr std::size_t kMaxPathBytes = 4000;
// The process makes two numbers of a key, and the wire has a sign.
constexpr std::uint64_t kMaxKey = std::uint64_t{1} << 62;
// What waits while the process does not answer. It does not wait for disks
// itself: it must be stopped, or starved.
constexpr std::size_t kMaxWaitingNoteBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxWaitingBytes = std::size_t{1} << 20;

Result<void> Check(const LogWriter::Options& options) {
  const std::string& path = options.path;
  if (path.empty() || path.front() != '/' || path.back() == '/' ||
      path.size() > kMaxPathBytes || path.find('\0') != std::string::npos) {
    return MakeError(error_code::kBadRequest,
                     "a log file must be an absolute path of at most " +
                         std::to_string(kMaxPathBytes) +
                         " bytes without NUL, not '" + path + "'");
  }
  if (options.max_bytes < kMinFileBytes) {
    return MakeError(error_code::kBadRequest,
                     "a log file must be allowed at least " +
                         std::to_string(kMinFileBytes) + " bytes, not " +
                         std::to_string(options.max_bytes));
  }
  if (options.files < 1 || options.files > kMaxFiles) {
    return MakeError(error_code::kBadRequest,
                     "1 to " + std::to_string(kMaxFiles) +
                         " log files can be kept, not " +
                         std::to_string(options.files));
  }
  if (!options.match.empty()) {
    if (auto pattern = LinePattern::Compile(options.match); !pattern) {
      return pattern.error();
    }
  }
  return {};
}

// Both sides of what a service writes to.
struct Ends {
  LogWriter::Streams streams;
  UniqueFd out;
  UniqueFd err;
};

Result<Ends> MakePipes() {
  Result<Pipe> out = MakePipe();
  if (!out) return out.error();
  Result<Pipe> err = MakePipe();
  if (!err) return err.error();
  return Ends{
      {UniqueFd(), std::move(out->write_end), std::move(err->write_end)},
      std::move(out->read_end),
      std::move(err->read_end)};
}

Result<Ends> MakeTerminal() {
  auto terminal = PseudoTerminal::Make({24, 80, 0, 0});
  if (!terminal) return terminal.error();
  // Lines end as in a file.
  termios modes = {};
  const int fd = terminal->worker_side.get();
  ::tcgetattr(fd, &modes);
  modes.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
  ::tcsetattr(fd, TCSANOW, &modes);
  // Nobody writes there: at its end from the beginning.
  Result<Pipe> err = MakePipe();
  if (!err) return err.error();
  Ends ends;
  ends.out = std::move(terminal->our_side);
  ends.err = std::move(err->read_end);
  ends.streams.in = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  ends.streams.out = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  ends.streams.err = std::move(terminal->worker_side);
  if (!ends.streams.in || !ends.streams.out) {
    return SystemError("fcntl(F_DUPFD_CLOEXEC)", errno);
  }
  return ends;
}

std::optional<LogWriter::Event::Kind> KindOf(const std::string& name) {
  using enum LogWriter::Event::Kind;
  if (name == log_event::kOpened) return kOpened;
  if (name == log_event::kFailed) return kFailed;
  if (name == log_event::kMatched) return kMatched;
  if (name == log_event::kClosed) return kClosed;
  return std::nullopt;
}

}  // namespace

LogWriter::LogWriter() : reader_(kMaxLogFrameBytes) {}
LogWriter::LogWriter(LogWriter&& other) noexcept = default;
LogWriter::~LogWriter() = default;

Result<LogWriter> LogWriter::Start() {
  LogWriter writer;
  if (auto forked = writer.ForkProcess(); !forked) return forked.error();
  return writer;
}

LogWriter LogWriter::Resume(protocol::HandedLogWriter handed) {
  LogWriter writer;
  writer.channel_ = TakeHanded(handed.channel);
  writer.pid_ = static_cast<pid_t>(handed.pid);
  writer.ended_ = handed.ended;
  TakeHanded(handed.reader, writer.reader_);
  for (protocol::HandedLog& one : handed.logs) {
    Log& log = writer.logs_[static_cast<std::uint64_t>(one.key)];
    log.options = {std::move(one.options.path),
                   one.options.max_bytes,
                   one.options.files,
                   one.options.drop,
                   one.terminal,
                   std::move(one.options.match),
                   std::move(one.options.note)};
    log.out = TakeHanded(one.out);
    log.err = TakeHanded(one.err);
    log.told = one.told;
    log.closing = one.closing;
    log.lost_notes = one.lost_notes;
  }
  for (protocol::HandedFrame& one : handed.outgoing) {
    const bool has_fds = one.key >= 0;
    writer.Queue({std::move(one.bytes.data), static_cast<std::size_t>(one.sent),
                  one.note, has_fds,
                  has_fds ? static_cast<std::uint64_t>(one.key) : 0});
  }
  return writer;
}

protocol::HandedLogWriter LogWriter::WriteDown(HandedFds& fds) const {
  protocol::HandedLogWriter handed;
  handed.channel = fds.Add(channel_);
  handed.pid = pid_;
  handed.ended = ended_;
  handed.reader = fds.Add(reader_);
  for (const Frame& frame : outbox_) {
    protocol::HandedFrame& one = handed.outgoing.emplace_back();
    one.bytes.data = frame.bytes;
    one.sent = static_cast<std::int64_t>(frame.sent);
    one.key = frame.has_fds ? static_cast<std::int64_t>(frame.fds_of) : -1;
    one.note = frame.is_note;
  }
  for (const auto& [key, log] : logs_) {
    handed.logs.push_back({static_cast<std::int64_t>(key), BodyOf(key, log),
                           log.options.terminal, fds.Add(log.out),
                           fds.Add(log.err), log.told, log.closing,
                           log.lost_notes});
  }
  return handed;
}

Result<void> LogWriter::Restart() {
  if (auto forked = ForkProcess(); !forked) return forked.error();
  // The streams first, then the notes that were not sent.
  std::deque<Frame> notes = std::exchange(outbox_, {});
  outbox_bytes_ = 0;
  for (const auto& [key, log] : logs_) QueueOpen(key, log);
  for (Frame& frame : notes) {
    if (!frame.is_note) continue;
    frame.sent = 0;
    Queue(std::move(frame));
  }
  for (const auto& [key, log] : logs_) {
    if (log.closing) QueueClose(key);
  }
  Flush();
  return {};
}

Result<void> LogWriter::ForkProcess() {
  Result<SocketPair> pair = MakeSocketPair();
  if (!pair) return pair.error();
  SetNonBlocking(pair->first.get());
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int fork_errno = errno;
  if (pid == 0) RunLogProcess(std::move(pair->second), ReadWallClock);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return SystemError("fork()", fork_errno);
  channel_ = std::move(pair->first);
  reader_ = protocol::FrameReader(kMaxLogFrameBytes);
  ended_ = false;
  pid_ = pid;
  return {};
}

Result<LogWriter::Streams> LogWriter::Open(std::uint64_t key,
                                           const Options& options) {
  if (auto checked = Check(options); !checked) return checked.error();
  if (key > kMaxKey || logs_.count(key) != 0) {
    return MakeError(
        error_code::kBadRequest,
        "the log " + std::to_string(key) + " cannot be opened: " +
            (key > kMaxKey ? "the number is too large" : "it is open"));
  }
  if (outbox_bytes_ > kMaxWaitingBytes) {
    return MakeError(error_code::kLimitReached,
                     "the log writer does not answer");
  }
  Result<Ends> ends = options.terminal ? MakeTerminal() : MakePipes();
  if (!ends) return ends.error();
  Log& log = logs_[key];
  log.options = options;
  log.options.note.resize(std::min(options.note.size(), kMaxNoteBytes));
  log.out = std::move(ends->out);
  log.err = std::move(ends->err);
  if (!ended_) QueueOpen(key, log);
  // Another process that takes the streams over does not begin anew.
  log.options.note.clear();
  Flush();
  return std::move(ends->streams);
}

protocol::OpenLog LogWriter::BodyOf(std::uint64_t key, const Log& log) {
  protocol::OpenLog body;
  body.key = static_cast<std::int64_t>(key);
  body.path = log.options.path;
  body.max_bytes = log.options.max_bytes;
  body.files = log.options.files;
  body.drop = log.options.drop;
  body.match = log.options.match;
  body.note = log.options.note;
  return body;
}

void LogWriter::QueueOpen(std::uint64_t key, const Log& log) {
  Frame frame;
  frame.bytes = protocol::EncodeRequest(0, 2, BodyOf(key, log));
  frame.fds_of = key;
  frame.has_fds = true;
  Queue(std::move(frame));
}

void LogWriter::QueueClose(std::uint64_t key) {
  Queue({protocol::EncodeRequest<protocol::CloseLog>(
      0, 0, {static_cast<std::int64_t>(key)})});
}

void LogWriter::Note(std::uint64_t key, std::string text) {
  const auto found = logs_.find(key);
  if (found == logs_.end()) return;
  std::int64_t& lost = found->second.lost_notes;
  if (outbox_bytes_ > kMaxWaitingNoteBytes) {
    ++lost;
    return;
  }
  text.resize(std::min(text.size(), kMaxNoteBytes));
  Frame frame;
  frame.bytes = protocol::EncodeRequest<protocol::LogNote>(
      0, 0,
      {static_cast<std::int64_t>(key), std::move(text),
       std::exchange(lost, 0)});
  frame.is_note = true;
  Queue(std::move(frame));
  Flush();
}

void LogWriter::Close(std::uint64_t key) {
  const auto found = logs_.find(key);
  if (found == logs_.end() || std::exchange(found->second.closing, true)) {
    return;
  }
  if (!ended_) QueueClose(key);
  Flush();
}

void LogWriter::Queue(Frame frame) {
  outbox_bytes_ += frame.bytes.size();
  outbox_.push_back(std::move(frame));
}

void LogWriter::Flush() {
  while (!ended_ && !outbox_.empty()) {
    Frame& frame = outbox_.front();
    int fds[2];
    std::size_t fd_count = 0;
    if (frame.has_fds && frame.sent == 0) {
      // A log that is queued is open: it ends by an event that follows.
      const Log& log = logs_.at(frame.fds_of);
      fds[fd_count++] = log.out.get();
      fds[fd_count++] = log.err.get();
    }
    const long sent =
        SendWithFds(channel_.get(), frame.bytes.data() + frame.sent,
                    frame.bytes.size() - frame.sent, fds, fd_count);
    // Whatever else is wrong is told by the end of the process.
    if (sent < 0) return;
    frame.sent += static_cast<std::size_t>(sent);
    if (frame.sent < frame.bytes.size()) return;
    outbox_bytes_ -= frame.bytes.size();
    outbox_.pop_front();
  }
}

std::vector<LogWriter::Event> LogWriter::Process() {
  std::vector<Event> events;
  Flush();
  while (!ended_) {
    const auto received = reader_.Receive(channel_.get());
    if (!received || *received == protocol::FrameReader::Status::kClosed) {
      ended_ = true;
    } else if (*received == protocol::FrameReader::Status::kWouldBlock) {
      break;
    }
    for (;;) {
      const auto payload = reader_.Next();
      if (!payload || !*payload) break;
      Take(**payload, events);
    }
  }
  return events;
}

void LogWriter::Take(std::string_view payload, std::vector<Event>& events) {
  const auto message = protocol::Message::Parse(payload);
  if (!message) return;
  auto body = message->Decode<protocol::LogEvent>();
  if (!body) return;
  const auto kind = KindOf(body->kind);
  const auto key = static_cast<std::uint64_t>(body->key);
  const auto found = logs_.find(key);
  if (!kind || found == logs_.end()) return;
  Log& log = found->second;
  const bool first_word =
      *kind == Event::Kind::kOpened || *kind == Event::Kind::kFailed;
  // A process that was started again says it again.
  if (first_word && std::exchange(log.told, true)) return;
  if (*kind == Event::Kind::kMatched) log.options.match.clear();
  if (*kind == Event::Kind::kClosed) logs_.erase(found);
  events.push_back({key, *kind, std::move(body->text), body->lost});
}

}  // namespace forkserver::server
