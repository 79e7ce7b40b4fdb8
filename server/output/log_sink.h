// What is written to one log file: a bounded queue, and a thread that takes
// from it and writes. A disk that is slow, full or does not answer at all
// holds up this thread and nobody else.
//
// Lives in the log writer's process, which never forks. Everything but the
// thread is for one other thread, which never blocks here, except where it
// says so.
#pragma once

#include <forkserver/result.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "server/output/log_file.h"

namespace forkserver::server {

// Microseconds since 1970. It is not steady.
using WallClock = std::int64_t (*)();
std::int64_t ReadWallClock();

class LogSink {
 public:
  // A queue that holds more is full. What is written at the moment is not in
  // it, and is no larger.
  static constexpr std::size_t kQueueBytes = std::size_t{512} << 10;

  // When there is news in progress() the thread writes `id`, eight bytes, to
  // `wake_fd`, and not again before TakeNews(). Fails when there can be no
  // further thread.
  static Result<std::unique_ptr<LogSink>> Start(std::uint64_t id,
                                                std::string path,
                                                LogFile::Limits limits,
                                                WallClock clock, int wake_fd);
  // Blocks until everything is written: call it when it is.
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  void SetLimits(LogFile::Limits limits);

  // Whole lines, each with its newline, of the time `time` (FormatLogTime).
  // `drop`: if the queue is full they are dropped, and a line will tell how
  // many there were. Otherwise they are taken: whoever adds looks at idle().
  void Add(std::string_view lines, std::string_view time, bool drop);

  // Makes sure that the file can be written, and that it is told how many
  // lines were dropped. Returns what Progress::done will reach.
  std::uint64_t Sync(std::string_view time);

  struct Progress {
    std::uint64_t done = 0;
    bool idle = true;       // nothing waits
    std::string error;      // of the last lines; empty: they were written
    std::int64_t lost = 0;  // lines that were dropped or could not be written
  };
  Progress progress() const;
  bool idle() const;
  bool full() const;
  void TakeNews();

 private:
  LogSink(std::uint64_t id, std::string path, LogFile::Limits limits,
          WallClock clock, int wake_fd);
  void Run();
  // Under the mutex.
  void TellDropped(std::string_view time);

  const std::uint64_t id_;
  const WallClock clock_;
  const int wake_fd_;
  LogFile file_;  // of the thread

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string queue_;
  LogFile::Limits limits_;
  std::uint64_t added_ = 0;
  std::uint64_t done_ = 0;
  std::string error_;
  std::int64_t file_lost_ = 0;
  std::int64_t dropped_ = 0;
  std::int64_t untold_dropped_ = 0;
  bool news_ = false;
  bool ends_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace forkserver::server
