#include "server/output/log_sink.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "sdk/log/log_line.h"

namespace forkserver::server {

std::int64_t ReadWallClock() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Result<std::unique_ptr<LogSink>> LogSink::Start(std::uint64_t id,
                                                std::string path,
                                                LogFile::Limits limits,
                                                WallClock clock, int wake_fd) {
  std::unique_ptr<LogSink> sink(
      new LogSink(id, std::move(path), limits, clock, wake_fd));
  try {
    sink->thread_ = std::thread([raw = sink.get()] { raw->Run(); });
  } catch (const std::system_error& failure) {
    return SystemError("pthread_create()", failure.code().value());
  }
  return sink;
}

LogSink::LogSink(std::uint64_t id, std::string path, LogFile::Limits limits,
                 WallClock clock, int wake_fd)
    : id_(id),
      clock_(clock),
      wake_fd_(wake_fd),
      file_(std::move(path), limits),
      limits_(limits) {}

LogSink::~LogSink() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LogSink::SetLimits(LogFile::Limits limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

void LogSink::TellDropped(std::string_view time) {
  if (untold_dropped_ == 0) return;
  AppendLogLine(queue_, time, LogStream::kLog, false,
                std::to_string(untold_dropped_) +
                    " lines were lost: they came faster than they could be "
                    "written");
  untold_dropped_ = 0;
}

void LogSink::Add(std::string_view lines, std::string_view time, bool drop) {
  {
    const std::lock_guard lock(mutex_);
    if (drop && queue_.size() >= kQueueBytes) {
      const std::int64_t count = std::count(lines.begin(), lines.end(), '\n');
      dropped_ += count;
      untold_dropped_ += count;
      return;
    }
    TellDropped(time);
    queue_ += lines;
    ++added_;
  }
  changed_.notify_one();
}

std::uint64_t LogSink::Sync(std::string_view time) {
  std::uint64_t number;
  {
    const std::lock_guard lock(mutex_);
    TellDropped(time);
    number = ++added_;
  }
  changed_.notify_one();
  return number;
}

LogSink::Progress LogSink::progress() const {
  const std::lock_guard lock(mutex_);
  return {done_, done_ == added_, error_, file_lost_ + dropped_};
}

bool LogSink::idle() const {
  const std::lock_guard lock(mutex_);
  return done_ == added_;
}

bool LogSink::full() const {
  const std::lock_guard lock(mutex_);
  return queue_.size() >= kQueueBytes;
}

void LogSink::TakeNews() {
  const std::lock_guard lock(mutex_);
  news_ = false;
}

void LogSink::Run() {
  std::string batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return done_ != added_ || ends_; });
    if (done_ == added_) return;
    batch.clear();
    batch.swap(queue_);
    const std::uint64_t number = added_;
    file_.set_limits(limits_);
    lock.unlock();
    const Result<void> appended = file_.Append(batch, FormatLogTime(clock_()));
    lock.lock();
    done_ = number;
    error_ = appended ? std::string() : appended.error().message;
    file_lost_ = file_.lost();
    if (std::exchange(news_, true)) continue;
    lock.unlock();
    while (::write(wake_fd_, &id_, sizeof(id_)) < 0 && errno == EINTR) {
    }
    lock.lock();
  }
}

}  // namespace forkserver::server
