// The log writer, as the daemon sees it. It is a process of its own: what
// reads the output of services and writes their log files is neither held up
// by the daemon nor holds it up, however slow or full a disk is, and loses
// nothing when the daemon is replaced or killed.
//
//   Result<LogWriter> writer = LogWriter::Start();
//   Result<LogWriter::Streams> streams = writer->Open(key, {.path = path});
//   ... launch a worker with streams->out and streams->err as 1 and 2 ...
//   writer->Note(key, "started, pid 42");
//   ... fd() is readable: for (Event& event : writer->Process()) ...
//   writer->Note(key, "ended: exit code 0");
//   writer->Close(key);
//
// The process lives until the channel from the daemon is closed and the last
// stream is at its end: it outlives the daemon as long as services do.
//
// Passive; never blocks. What waits to be sent is bounded. The reading ends
// stay open here too: when the process dies, another one takes the streams
// over, and no service ever writes to a pipe that nobody reads.
//
// Caveats: what a process that is killed had read and not written is lost. What
// is in the pipe is not; without `drop`, no more is read than is being written
// (16 kB of each stream, 128 kB just before a note) and a line that has not
// ended. A note comes behind what the service wrote before it, unless the file
// is so slow that more waits than a pipe holds.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"

namespace forkserver::server {

class LogWriter {
 public:
  struct Options {
    std::string path;                   // absolute; the file is appended to
    std::int64_t max_bytes = 10 << 20;  // of one file, at least 4096
    std::int64_t files = 3;             // that are kept, this one included
    // A file that is too slow: false, the service waits; true, lines are
    // dropped and counted.
    bool drop = false;
    // The streams are one terminal, of 80 x 24, and all that is written there
    // is of the stream "out".
    bool terminal = false;
    // POSIX extended regular expression; empty: none. See line_pattern.h.
    std::string match = {};
    // A note that comes before anything that the service writes.
    std::string note = {};
  };
  // What a service gets as its descriptors 0, 1 and 2.
  struct Streams {
    UniqueFd in;  // invalid without `terminal`
    UniqueFd out;
    UniqueFd err;
  };
  struct Event {
    enum class Kind {
      kOpened,   // the file can be written
      kFailed,   // it cannot; `text` says why. Lines are lost until it can
      kMatched,  // `text` is the beginning of the first line that matches
      kClosed,   // nothing of this key comes any more
    };
    std::uint64_t key = 0;
    Kind kind = Kind::kOpened;
    std::string text;
    std::int64_t lost = 0;  // kClosed: lines that are not in the file
  };

  // Forks the process. Call while this one has one thread.
  static Result<LogWriter> Start();
  // That of the program that this one replaces, in the same process.
  static LogWriter Resume(protocol::HandedLogWriter handed);
  protocol::HandedLogWriter WriteDown(HandedFds& fds) const;
  LogWriter(LogWriter&& other) noexcept;
  LogWriter& operator=(LogWriter&&) = delete;
  // Closes the channel. Does not wait for the process, nor reap it.
  ~LogWriter();

  pid_t pid() const { return pid_; }
  // To be polled for reading, and for writing while wants_write(), until
  // ended().
  int fd() const { return channel_.get(); }
  bool wants_write() const { return !outbox_.empty() && !ended_; }
  // The process has closed its end: it is dead, or about to be.
  bool ended() const { return ended_; }
  // Its process is gone (the caller has reaped it, and does not poll fd() any
  // more): forks another one, which gets every stream that is open. fd() and
  // pid() are others then.
  Result<void> Restart();

  // Starts a log; `key` must not be in use. For each there is first one of
  // kOpened and kFailed, and kClosed at last. Errors "bad_request" (a bad path,
  // limit or expression), "limit_reached" (the process does not answer).
  Result<Streams> Open(std::uint64_t key, const Options& options);
  // A line of the daemon's own; of several lines each is one. Cut at 4 kB.
  // Dropped and counted when the process does not answer.
  void Note(std::uint64_t key, std::string text);
  // No more notes: kClosed follows once the streams are at their end.
  void Close(std::uint64_t key);

  // Sends and receives what can be.
  std::vector<Event> Process();

 private:
  struct Log {
    Options options;
    UniqueFd out;  // reading ends
    UniqueFd err;
    bool told = false;  // whether the file can be written
    bool closing = false;
    std::int64_t lost_notes = 0;  // since the last that was sent
  };
  struct Frame {
    std::string bytes;
    std::size_t sent = 0;
    bool is_note = false;
    bool has_fds = false;
    std::uint64_t fds_of = 0;  // the log whose descriptors ride on it
  };

  LogWriter();
  Result<void> ForkProcess();
  void Queue(Frame frame);
  static protocol::OpenLog BodyOf(std::uint64_t key, const Log& log);
  void QueueOpen(std::uint64_t key, const Log& log);
  void QueueClose(std::uint64_t key);
  void Flush();
  void Take(std::string_view payload, std::vector<Event>& events);

  std::map<std::uint64_t, Log> logs_;
  std::deque<Frame> outbox_;
  std::size_t outbox_bytes_ = 0;
  UniqueFd channel_;
  protocol::FrameReader reader_;
  bool ended_ = false;
  pid_t pid_ = 0;
};

}  // namespace forkserver::server
