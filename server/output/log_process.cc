#include "server/output/log_process.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/log/line_splitter.h"
#include "sdk/log/log_line.h"
#include "sdk/process/platform.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/log_messages.h"
#include "server/output/line_pattern.h"
#include "server/output/log_limits.h"

namespace forkserver::server {
namespace {

// Of an empty line of one byte the file gets 33.
constexpr std::size_t kReadBytes = std::size_t{16} << 10;
// Read before a note, so that it comes behind: all that two pipes hold.
constexpr int kReadsBeforeNote = 8;

// Tokens of the poll set: these, and behind them two for each key.
constexpr std::uint64_t kChannelToken = 0;
constexpr std::uint64_t kWakeToken = 1;
constexpr std::uint64_t kFirstStreamToken = 2;

struct Stream {
  LogStream name = LogStream::kOut;
  UniqueFd fd;  // invalid: it is at its end
  bool polled = false;
  LineSplitter splitter{kMaxLogTextBytes};
  bool inside_line = false;  // the next piece does not begin one
};

struct Sink {
  std::string path;
  std::unique_ptr<LogSink> sink;
  std::set<std::uint64_t> keys;
  std::uint64_t last_read = 0;  // the key
};

struct Log {
  std::uint64_t sink_id = 0;
  LogSink* sink = nullptr;
  std::array<Stream, 2> streams;
  bool drop = false;
  bool closing = false;
  std::optional<LinePattern> pattern;
  std::int64_t lost_before = 0;
  std::uint64_t opened_at = 0;  // Progress::done of these, 0: not yet
  std::optional<std::uint64_t> ended_at;
};

class LogProcess {
 public:
  LogProcess(UniqueFd channel, Pipe wake, PollSet poll_set, WallClock clock)
      : channel_(std::move(channel)),
        wake_(std::move(wake)),
        poll_set_(std::move(poll_set)),
        clock_(clock),
        reader_(kMaxLogFrameBytes) {}

  Result<void> Run() {
    if (auto added = poll_set_.Add(wake_.read_end.get(), kWakeToken); !added) {
      return added.error();
    }
    if (auto added = poll_set_.Add(channel_.get(), kChannelToken); !added) {
      return added.error();
    }
    std::vector<PollSet::Event> events;
    while (channel_ || !logs_.empty()) {
      if (auto waited = poll_set_.Wait(-1, events); !waited) {
        return waited.error();
      }
      for (const PollSet::Event& event : events) Handle(event);
    }
    return {};
  }

 private:
  std::string Now() const { return FormatLogTime(clock_()); }

  void Handle(const PollSet::Event& event) {
    if (event.token == kChannelToken) {
      if (event.writable) SendEvents();
      if (event.readable) ReadChannel();
    } else if (event.token == kWakeToken) {
      ReadWake();
    } else {
      const std::uint64_t number = event.token - kFirstStreamToken;
      const auto found = logs_.find(number / 2);
      if (found == logs_.end()) return;
      ReadBoth(found->first, found->second);
      Settle(found->first);
    }
  }

  // --- the daemon ---

  void ReadChannel() {
    while (channel_) {
      const auto received = reader_.Receive(channel_.get());
      if (!received || *received == protocol::FrameReader::Status::kClosed) {
        CloseChannel();
        return;
      }
      if (*received == protocol::FrameReader::Status::kWouldBlock) return;
      for (;;) {
        const auto payload = reader_.Next();
        if (!payload) return CloseChannel();
        if (!*payload) break;
        if (auto obeyed = Obey(**payload); !obeyed) return CloseChannel();
      }
    }
  }

  // The streams go on to their ends.
  void CloseChannel() {
    if (!channel_) return;
    poll_set_.Remove(channel_.get());
    channel_.Reset();
    outbox_.clear();
    std::vector<std::uint64_t> keys;
    for (const auto& [key, log] : logs_) keys.push_back(key);
    for (const std::uint64_t key : keys) Settle(key);
  }

  Result<void> Obey(std::string_view payload) {
    const auto message = protocol::Message::Parse(payload);
    if (!message) return message.error();
    const std::string& type = message->envelope().type;
    if (type == protocol::OpenLog::kType) {
      auto body = message->Decode<protocol::OpenLog>();
      if (!body) return body.error();
      Open(*body, reader_.TakeFds(message->envelope().fds));
    } else if (type == protocol::LogNote::kType) {
      const auto body = message->Decode<protocol::LogNote>();
      if (!body) return body.error();
      Note(*body);
    } else if (type == protocol::CloseLog::kType) {
      const auto body = message->Decode<protocol::CloseLog>();
      if (!body) return body.error();
      const auto key = static_cast<std::uint64_t>(body->key);
      const auto found = logs_.find(key);
      if (found != logs_.end()) found->second.closing = true;
      Settle(key);
    }
    // Others are of a newer daemon.
    return {};
  }

  void Tell(std::uint64_t key, const char* kind, std::string text,
            std::int64_t lost = 0) {
    if (!channel_) return;
    const bool waits = !outbox_.empty();
    outbox_ += protocol::EncodeRequest<protocol::LogEvent>(
        0, 0, {static_cast<std::int64_t>(key), kind, std::move(text), lost});
    if (!waits) SendEvents();
  }

  void SendEvents() {
    if (!channel_ || outbox_.empty()) return;
    const long sent =
        SendWithFds(channel_.get(), outbox_.data(), outbox_.size(), nullptr, 0);
    // That the daemon is gone is found when the channel is read.
    if (sent < 0 && sent != -EAGAIN && sent != -EWOULDBLOCK) outbox_.clear();
    if (sent > 0) outbox_.erase(0, static_cast<std::size_t>(sent));
    poll_set_.WatchWritable(channel_.get(), kChannelToken, !outbox_.empty());
  }

  // --- logs ---

  void Open(const protocol::OpenLog& request, std::vector<UniqueFd> fds) {
    const auto key = static_cast<std::uint64_t>(request.key);
    if (logs_.count(key) != 0) return;
    const LogFile::Limits limits = {request.max_bytes, request.files};
    Result<std::uint64_t> sink_id = FindSink(request.path, limits);
    if (fds.size() != 2 || !sink_id) {
      Tell(key, log_event::kFailed,
           sink_id ? "descriptors were lost: too many are open"
                   : sink_id.error().message);
      Tell(key, log_event::kClosed, {});
      if (sink_id) DropSinkIfUnused(*sink_id);
      return;
    }
    Sink& sink = sinks_[*sink_id];
    sink.keys.insert(key);
    Log& log = logs_[key];
    log.sink_id = *sink_id;
    log.sink = sink.sink.get();
    log.drop = request.drop;
    if (!request.match.empty()) {
      // The daemon has compiled it before.
      auto pattern = LinePattern::Compile(request.match);
      if (pattern) log.pattern.emplace(std::move(*pattern));
    }
    log.lost_before = log.sink->progress().lost;
    log.opened_at = log.sink->Sync(Now());
    if (!request.note.empty()) WriteNote(log, request.note, 0);
    log.streams[0].name = LogStream::kOut;
    log.streams[1].name = LogStream::kErr;
    for (std::size_t i = 0; i < log.streams.size(); ++i) {
      SetNonBlocking(fds[i].get());
      log.streams[i].fd = std::move(fds[i]);
    }
    Watch(key, log);
  }

  Result<std::uint64_t> FindSink(const std::string& path,
                                 LogFile::Limits limits) {
    for (const auto& [id, each] : sinks_) {
      if (each.path != path) continue;
      each.sink->SetLimits(limits);
      return id;
    }
    const std::uint64_t id = next_sink_++;
    auto started =
        LogSink::Start(id, path, limits, clock_, wake_.write_end.get());
    if (!started) return started.error();
    sinks_[id] = {path, std::move(*started), {}};
    return id;
  }

  void DropSinkIfUnused(std::uint64_t id) {
    if (sinks_[id].keys.empty()) sinks_.erase(id);
  }

  void Note(const protocol::LogNote& request) {
    const auto key = static_cast<std::uint64_t>(request.key);
    const auto found = logs_.find(key);
    if (found == logs_.end()) return;
    Log& log = found->second;
    for (Stream& stream : log.streams) {
      for (int i = 0; i < kReadsBeforeNote && !log.sink->full(); ++i) {
        if (!Read(key, log, stream)) break;
      }
    }
    WriteNote(log, request.text, request.lost);
    Settle(key);
  }

  void WriteNote(const Log& log, std::string_view note, std::int64_t lost) {
    const std::string time = Now();
    std::string lines;
    if (lost > 0) {
      AppendLogLine(lines, time, LogStream::kLog, false,
                    std::to_string(lost) + " notes were lost");
    }
    LineSplitter splitter(kMaxLogTextBytes);
    const auto append = [&](std::string_view text, bool continued) {
      AppendLogLine(lines, time, LogStream::kNote, continued, text);
    };
    splitter.Feed(note, append);
    splitter.Finish(append);
    log.sink->Add(lines, time, /*drop=*/true);
  }

  // --- streams ---

  static bool MayRead(const Log& log) { return log.drop || log.sink->idle(); }

  void Watch(std::uint64_t key, Log& log) {
    const bool may_read = MayRead(log);
    for (std::size_t i = 0; i < log.streams.size(); ++i) {
      Stream& stream = log.streams[i];
      const bool wanted = may_read && stream.fd.valid();
      if (wanted == stream.polled) continue;
      if (!wanted) {
        poll_set_.Remove(stream.fd.get());
      } else if (!poll_set_.Add(stream.fd.get(),
                                kFirstStreamToken + key * 2 + i)) {
        // Nobody would ever read it.
        stream.fd.Reset();
        continue;
      }
      stream.polled = wanted;
    }
  }

  // Both whenever one is ready: a stream that always is would leave the other
  // no turn.
  void ReadBoth(std::uint64_t key, Log& log) {
    if (!MayRead(log)) return;
    sinks_[log.sink_id].last_read = key;
    for (Stream& stream : log.streams) Read(key, log, stream);
  }

  // True if there may be more.
  bool Read(std::uint64_t key, Log& log, Stream& stream) {
    if (!stream.fd) return false;
    char bytes[kReadBytes];
    const ssize_t size = ::read(stream.fd.get(), bytes, sizeof(bytes));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    const std::string time = Now();
    lines_.clear();
    const auto append = [&](std::string_view text, bool continued) {
      if (!stream.inside_line) Match(key, log, text);
      stream.inside_line = continued;
      AppendLogLine(lines_, time, stream.name, continued, text);
    };
    if (size > 0) {
      stream.splitter.Feed({bytes, static_cast<std::size_t>(size)}, append);
    } else {
      stream.splitter.Finish(append);
      if (stream.polled) poll_set_.Remove(stream.fd.get());
      stream.polled = false;
      stream.fd.Reset();
    }
    if (!lines_.empty()) log.sink->Add(lines_, time, log.drop);
    return size > 0;
  }

  void Match(std::uint64_t key, Log& log, std::string_view line) {
    if (!log.pattern || !log.pattern->Matches(line)) return;
    log.pattern.reset();
    Tell(key, log_event::kMatched,
         std::string(line.substr(0, LinePattern::kMaxLineBytes)));
  }

  // --- what the threads have done ---

  void ReadWake() {
    std::uint64_t ids[128];
    const ssize_t size = ::read(wake_.read_end.get(), ids, sizeof(ids));
    if (size <= 0) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(size) / sizeof(ids[0]);
         ++i) {
      const auto found = sinks_.find(ids[i]);
      if (found == sinks_.end()) continue;
      const Sink& sink = found->second;
      sink.sink->TakeNews();
      // First polled is first read: the others before the last one.
      const auto next = sink.keys.upper_bound(sink.last_read);
      std::vector<std::uint64_t> keys(next, sink.keys.end());
      keys.insert(keys.end(), sink.keys.begin(), next);
      for (const std::uint64_t key : keys) Settle(key);
    }
  }

  // Does for a log whatever is to be done now.
  void Settle(std::uint64_t key) {
    const auto found = logs_.find(key);
    if (found == logs_.end()) return;
    Log& log = found->second;
    Watch(key, log);
    const LogSink::Progress progress = log.sink->progress();
    if (log.opened_at != 0 && progress.done >= log.opened_at) {
      log.opened_at = 0;
      Tell(key,
           progress.error.empty() ? log_event::kOpened : log_event::kFailed,
           progress.error);
    }
    if (log.streams[0].fd || log.streams[1].fd) return;
    if (channel_ && !log.closing) return;
    if (!log.ended_at) log.ended_at = log.sink->Sync(Now());
    if (progress.done < *log.ended_at) return;
    Tell(key, log_event::kClosed, {}, progress.lost - log.lost_before);
    const std::uint64_t sink_id = log.sink_id;
    logs_.erase(found);
    sinks_[sink_id].keys.erase(key);
    DropSinkIfUnused(sink_id);
  }

  UniqueFd channel_;  // invalid: the daemon is gone
  Pipe wake_;
  PollSet poll_set_;
  WallClock clock_;
  protocol::FrameReader reader_;
  std::string outbox_;
  std::string lines_;
  std::map<std::uint64_t, Log> logs_;
  std::uint64_t next_sink_ = 1;
  std::map<std::uint64_t, Sink> sinks_;
};

// No file must ever get one of the standard numbers: what a library writes
// there would be in a log.
void OccupyStandardStreams() {
  while (true) {
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd < 0 || fd > STDERR_FILENO) {
      if (fd >= 0) ::close(fd);
      return;
    }
  }
}

}  // namespace

void RunLogProcess(UniqueFd channel, WallClock clock) {
  // A session of its own: what is meant for the daemon's group is not for it.
  ::setsid();
  ResetSignals();
  for (const int signal :
       {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGXFSZ}) {
    ::signal(signal, SIG_IGN);
  }
  CloseDescriptorsFrom(0, {channel.get()});
  OccupyStandardStreams();
  SetProcessName("forkserver-log");
  SetNonBlocking(channel.get());
  Result<Pipe> wake = MakePipe();
  Result<PollSet> poll_set = PollSet::Create();
  if (!wake || !poll_set) ::_exit(EXIT_FAILURE);
  LogProcess process(std::move(channel), std::move(*wake), std::move(*poll_set),
                     clock);
  const Result<void> ended = process.Run();
  // Without destructors: a thread may be busy.
  ::_exit(ended ? EXIT_SUCCESS : EXIT_FAILURE);
}

}  // namespace forkserver::server
