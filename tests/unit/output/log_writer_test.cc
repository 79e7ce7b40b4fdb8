#include "server/output/log_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/log/log_line.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/log_messages.h"
#include "server/output/log_process.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/output/log_folder.h"
#include "tests/unit/run_in_child.h"
#include "tests/unit/wait_for.h"

namespace forkserver::server {
namespace {

using testing::LogFolder;
using testing::NoLeftovers;
using testing::ReadFile;
using testing::ReadLogFiles;
using testing::WaitFor;
using testing::WriteText;
using Kind = LogWriter::Event::Kind;

// A number of a process's status; of memory in kB.
std::int64_t StatusOf(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) {
      return std::stoll(line.substr(name.size() + 1));
    }
  }
  return -1;
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kKeepsFreedMemory = true;
#else
constexpr bool kKeepsFreedMemory = false;
#endif

void CheckGrowth(std::int64_t before_kb, std::int64_t after_kb,
                 std::int64_t limit_kb) {
  REQUIRE(before_kb > 0);
  if (!kKeepsFreedMemory) CHECK(after_kb - before_kb < limit_kb);
}

std::ptrdiff_t CountFds(pid_t pid) {
  const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid) +
                                                "/fd");
  return std::distance(begin(fds), end(fds));
}

// `torn`: counts what is no line, which must not be otherwise.
std::vector<LogLine> ParseLog(const std::string& path,
                              std::size_t* torn = nullptr) {
  std::vector<LogLine> lines;
  const std::string text = ReadLogFiles(path);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) break;  // it is being written
    auto line = ParseLogLine(std::string_view(text).substr(at, end - at));
    if (line) {
      lines.push_back(std::move(*line));
    } else {
      REQUIRE_MESSAGE(torn != nullptr,
                      text.substr(at, std::min<std::size_t>(end - at, 99)));
      ++*torn;
    }
    at = end + 1;
  }
  return lines;
}

// "out one", "err+ two", ...: without the times.
std::vector<std::string> TextsOf(const std::string& path) {
  std::vector<std::string> texts;
  for (const LogLine& line : ParseLog(path)) {
    texts.push_back(std::string(NameOf(line.stream)) +
                    (line.continued ? "+ " : " ") + line.text);
  }
  return texts;
}

// Of all its files.
std::uintmax_t SizeOf(const std::string& path) {
  std::uintmax_t size = 0;
  for (const std::string& file : testing::ListLogFiles(path)) {
    std::error_code missing;
    const std::uintmax_t bytes = std::filesystem::file_size(file, missing);
    if (!missing) size += bytes;
  }
  return size;
}

// Another process that uses a stream; it does not outlive a test that fails.
pid_t Fork(const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    SetParentDeathSignal(SIGKILL, parent);
    ::signal(SIGPIPE, SIG_DFL);
    body();
    ::_exit(0);
  }
  return pid;
}

int Reap(pid_t pid) {
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Holds the lock of a log file: to who writes it, it is a disk that does not
// answer.
class StalledFile {
 public:
  explicit StalledFile(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    REQUIRE(::flock(fd_.get(), LOCK_EX) == 0);
  }
  void Release() { fd_.Reset(); }

 private:
  UniqueFd fd_;
};

// A log writer, as the daemon has one.
class Daemon {
 public:
  Daemon() : writer_(Start()) {}
  ~Daemon() { Stop(); }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  LogWriter& writer() { return *writer_; }
  std::int64_t memory_kb() { return StatusOf(writer_->pid(), "VmHWM"); }

  LogWriter::Streams Open(std::uint64_t key,
                          const LogWriter::Options& options) {
    auto streams = writer_->Open(key, options);
    REQUIRE_MESSAGE(streams, streams.error().ToString());
    return std::move(*streams);
  }

  // Waits for an event and returns it.
  LogWriter::Event Await(std::uint64_t key, Kind kind) {
    LogWriter::Event found;
    REQUIRE(WaitFor([&] {
      for (LogWriter::Event& event : writer_->Process()) {
        events_.push_back(std::move(event));
      }
      const auto at = std::find_if(
          events_.begin(), events_.end(), [&](const LogWriter::Event& event) {
            return event.key == key && event.kind == kind;
          });
      if (at == events_.end()) return false;
      found = std::move(*at);
      events_.erase(at);
      return true;
    }));
    return found;
  }
  // Those that nobody waited for.
  std::vector<LogWriter::Event> TakeEvents() {
    return std::exchange(events_, {});
  }

  // No more notes; returns how many lines were lost.
  std::int64_t Close(std::uint64_t key) {
    writer_->Close(key);
    return Await(key, Kind::kClosed).lost;
  }

  void Kill() {
    REQUIRE(::kill(writer_->pid(), SIGKILL) == 0);
    Reap(writer_->pid());
    REQUIRE(WaitFor([&] {
      for (LogWriter::Event& event : writer_->Process()) {
        events_.push_back(std::move(event));
      }
      return writer_->ended();
    }));
  }
  void Restart() { REQUIRE(writer_->Restart()); }

  // The daemon ends, its log writer need not.
  pid_t GoAway() {
    const pid_t pid = writer_->pid();
    writer_.reset();
    return pid;
  }

 private:
  static std::optional<LogWriter> Start() {
    auto started = LogWriter::Start();
    REQUIRE(started);
    return std::move(*started);
  }
  void Stop() {
    if (!writer_) return;
    if (std::uncaught_exceptions() > 0) {
      // The test has failed, and may have left it stopped, or a stream open.
      ::kill(writer_->pid(), SIGKILL);
      Reap(GoAway());
      return;
    }
    CHECK(Reap(GoAway()) == 0);
  }

  std::optional<LogWriter> writer_;
  std::vector<LogWriter::Event> events_;
};

TEST_CASE("both streams and the notes are in one file, with the time") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("a log\nwith \"odd\" \xff name");
  Daemon daemon;
  const std::int64_t before = ReadWallClock();
  auto streams = daemon.Open(7, {.path = path});
  daemon.Await(7, Kind::kOpened);
  daemon.writer().Note(7, "started, pid 42");
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 1; }));
  WriteText(streams.out.get(), "one\n\ntwo, in ");
  WriteText(streams.out.get(), "parts\nno newline");
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 4; }));
  WriteText(streams.err.get(), std::string("\0\xff\r\n", 4));
  streams.err.Reset();
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 5; }));
  streams.out.Reset();
  daemon.writer().Note(7, "ended: exit code 0\nwhy: it wanted to");
  CHECK(daemon.Close(7) == 0);
  const std::vector<std::string> expected = {"note started, pid 42",
                                             "out one",
                                             "out ",
                                             "out two, in parts",
                                             std::string("err \0\xff\r", 7),
                                             "out no newline",
                                             "note ended: exit code 0",
                                             "note why: it wanted to"};
  CHECK(TextsOf(path) == expected);
  for (const LogLine& line : ParseLog(path)) {
    CHECK(line.time_us >= before);
    CHECK(line.time_us <= ReadWallClock());
  }
  CHECK(daemon.TakeEvents().empty());
}

TEST_CASE("a note comes behind what was written before it") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  // As much as the pipes hold.
  const std::string line = std::string(63, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) {
    WriteText(streams.out.get(), line);
    WriteText(streams.err.get(), line);
  }
  streams = {};
  daemon.writer().Note(1, "ended");
  CHECK(daemon.Close(1) == 0);
  const auto texts = TextsOf(path);
  REQUIRE(texts.size() == 2001);
  CHECK(texts.back() == "note ended");
}

TEST_CASE("a service that is started again goes on in its file") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto first = daemon.Open(1, {.path = path});
  WriteText(first.out.get(), "first\n");
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 1; }));
  // A child of the first run still holds its streams.
  auto second = daemon.Open(2, {.path = path});
  daemon.Await(2, Kind::kOpened);
  WriteText(second.out.get(), "second\n");
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 2; }));
  WriteText(first.out.get(), "first again\n");
  first = {};
  CHECK(daemon.Close(1) == 0);
  second = {};
  CHECK(daemon.Close(2) == 0);
  CHECK(TextsOf(path) ==
        std::vector<std::string>{"out first", "out second", "out first again"});
}

TEST_CASE("what is wrong with a request is said before anything is opened") {
  const NoLeftovers no_leftovers;
  Daemon daemon;
  const auto refused = [&](const LogWriter::Options& options,
                           const std::string& why) {
    const auto streams = daemon.writer().Open(1, options);
    REQUIRE(!streams);
    CHECK(streams.error().code == error_code::kBadRequest);
    CHECK_MESSAGE(streams.error().message.find(why) != std::string::npos,
                  streams.error().message);
  };
  refused({.path = ""}, "absolute path");
  refused({.path = "log"}, "absolute path");
  refused({.path = "/tmp/"}, "absolute path");
  refused({.path = std::string("/tmp/a\0b", 8)}, "absolute path");
  refused({.path = "/" + std::string(5000, 'x')}, "absolute path");
  refused({.path = "/tmp/x", .max_bytes = 4095}, "4096");
  refused({.path = "/tmp/x", .files = 0}, "1 to 100");
  refused({.path = "/tmp/x", .files = 101}, "1 to 100");
  refused({.path = "/tmp/x", .match = "(a"}, "'(a' is not valid");
}

TEST_CASE("a key can be used again only when it is closed") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = folder.File("log")});
  CHECK(!daemon.writer().Open(1, {.path = folder.File("log")}));
  CHECK(!daemon.writer().Open(~std::uint64_t{0}, {.path = folder.File("log")}));
  streams = {};
  daemon.Close(1);
  streams = daemon.Open(1, {.path = folder.File("log")});
  streams = {};
  daemon.Close(1);
}

TEST_CASE("a file that cannot be opened is told, and counted, until it can") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("sub") + "/log";
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  const std::string why = "open(" + path + "): No such file or directory";
  CHECK(daemon.Await(1, Kind::kFailed).text == why);
  // More is read only when what was read before is written, or lost.
  const auto is_read = [&] {
    int bytes = -1;
    return ::ioctl(streams.out.get(), FIONREAD, &bytes) == 0 && bytes == 0;
  };
  WriteText(streams.out.get(), "one\ntwo\n");
  REQUIRE(WaitFor(is_read));
  WriteText(streams.out.get(), "three\n");
  REQUIRE(WaitFor(is_read));
  std::filesystem::create_directory(folder.File("sub"));
  REQUIRE(WaitFor([&] {
    WriteText(streams.out.get(), "x\n");
    return std::filesystem::exists(path) && !ReadFile(path).empty();
  }));
  streams = {};
  const std::int64_t lost = daemon.Close(1);
  CHECK(lost >= 2);
  CHECK(TextsOf(path).front() ==
        "log " + std::to_string(lost) + " lines were lost: " + why);
}

TEST_CASE("a full disk loses lines, counts them, and holds nobody up") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  daemon.Await(1, Kind::kOpened);
  const auto set_limit = [&](rlim_t bytes) {
    struct rlimit limit = {bytes, RLIM_INFINITY};
    REQUIRE(::prlimit(daemon.writer().pid(), RLIMIT_FSIZE, &limit, nullptr) ==
            0);
  };
  set_limit(50'000);
  constexpr int kLines = 20'000;
  const pid_t worker = Fork([&] {
    for (int i = 0; i < kLines; ++i) {
      WriteText(streams.out.get(), std::to_string(i) + " of many\n");
    }
  });
  CHECK(Reap(worker) == 0);
  CHECK(std::filesystem::file_size(path) <= 50'000);
  set_limit(RLIM_INFINITY);
  WriteText(streams.out.get(), "room again\n");
  streams = {};
  const std::int64_t lost = daemon.Close(1);
  CHECK(lost > 0);
  std::int64_t written = 0;
  std::int64_t told = 0;
  for (const LogLine& line : ParseLog(path)) {
    if (line.stream == LogStream::kOut) ++written;
    if (line.stream != LogStream::kLog) continue;
    CHECK(line.text.find("lines were lost: write(" + path +
                         "): File too large") != std::string::npos);
    told += std::stoll(line.text);
  }
  CHECK(told == lost);
  CHECK(written + lost == kLines + 1);
}

TEST_CASE("a line of 100 MB takes no memory, and is whole") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams =
      daemon.Open(1, {.path = path, .max_bytes = 20 << 20, .files = 10});
  daemon.Await(1, Kind::kOpened);
  const std::int64_t before_kb = daemon.memory_kb();
  const std::int64_t own_before_kb = StatusOf(::getpid(), "VmHWM");
  constexpr std::size_t kBytes = 100'000'000;
  const pid_t worker = Fork([&] {
    const std::string megabyte(1'000'000, 'x');
    for (std::size_t i = 0; i < kBytes / megabyte.size(); ++i) {
      WriteText(streams.out.get(), megabyte);
    }
    WriteText(streams.out.get(), "\nnext\n");
  });
  CHECK(Reap(worker) == 0);
  streams = {};
  CHECK(daemon.Close(1) == 0);
  CheckGrowth(before_kb, daemon.memory_kb(), 4096);
  CheckGrowth(own_before_kb, StatusOf(::getpid(), "VmHWM"), 1024);

  std::size_t bytes = 0;
  bool ended = false;
  for (const LogLine& line : ParseLog(path)) {
    if (ended) {
      CHECK(line.text == "next");
      continue;
    }
    CHECK(line.text.size() <= kMaxLogTextBytes);
    bytes += line.text.size();
    ended = !line.continued;
  }
  CHECK(ended);
  CHECK(bytes == kBytes);
}

TEST_CASE("a log is bounded") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path, .max_bytes = 10'000});
  for (int i = 0; i < 5000; ++i) {
    WriteText(streams.out.get(), std::to_string(i) + "\n");
  }
  streams = {};
  CHECK(daemon.Close(1) == 0);
  CHECK(testing::ListLogFiles(path).size() == 3);
  for (const std::string& file : testing::ListLogFiles(path)) {
    CHECK(std::filesystem::file_size(file) <= 10'000);
  }
  const auto texts = TextsOf(path);
  REQUIRE(!texts.empty());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CHECK(texts[i] == "out " + std::to_string(5000 - texts.size() + i));
  }
}

// Writes for as long as somebody reads; returns the bytes.
std::size_t FillPipe(int fd) {
  SetNonBlocking(fd);
  const std::string line = std::string(63, 'x') + "\n";
  std::size_t bytes = 0;
  // Many times, and each time with a little patience.
  for (int i = 0; i < 100; ++i) {
    for (;;) {
      const ssize_t size = ::write(fd, line.data(), line.size());
      if (size < 0) break;
      bytes += static_cast<std::size_t>(size);
      REQUIRE(bytes < 100'000'000);
    }
    pollfd writable = {fd, POLLOUT, 0};
    ::poll(&writable, 1, 1);
  }
  return bytes;
}

TEST_CASE("a service waits for a file that is slow, others do not") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("slow");
  StalledFile stalled(path);
  Daemon daemon;
  auto slow = daemon.Open(1, {.path = path});
  auto fast = daemon.Open(2, {.path = folder.File("fast")});
  const std::int64_t before_kb = daemon.memory_kb();
  const std::size_t bytes = FillPipe(slow.out.get());
  CHECK(bytes < 200'000);  // the pipe, and what was read once

  constexpr int kLines = 100'000;
  const pid_t worker = Fork([&] {
    for (int i = 0; i < kLines; ++i) WriteText(fast.out.get(), "fast\n");
  });
  CHECK(Reap(worker) == 0);
  fast = {};
  CHECK(daemon.Close(2) == 0);
  CHECK(TextsOf(folder.File("fast")).size() == kLines);
  // Neither do notes make it grow.
  for (int i = 0; i < 10'000; ++i) {
    daemon.writer().Note(1, std::string(1000, 'n'));
    daemon.writer().Process();
  }
  CheckGrowth(before_kb, daemon.memory_kb(), 8192);
  CHECK(ReadFile(path).empty());

  stalled.Release();
  slow = {};
  daemon.Close(1);
  std::size_t written = 0;
  for (const LogLine& line : ParseLog(path)) {
    if (line.stream == LogStream::kOut) written += line.text.size() + 1;
  }
  CHECK(written == bytes);
}

TEST_CASE("with drop a service does not wait, and what is lost is counted") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  StalledFile stalled(path);
  Daemon daemon;
  auto streams =
      daemon.Open(1, {.path = path, .max_bytes = 100 << 20, .drop = true});
  const std::int64_t before_kb = daemon.memory_kb();
  constexpr std::int64_t kLines = 2'000'000;
  const pid_t worker = Fork([&] {
    const std::string lines = [] {
      std::string text;
      for (int i = 0; i < 1000; ++i) text += std::string(99, 'x') + "\n";
      return text;
    }();
    for (int i = 0; i < kLines / 1000; ++i) {
      WriteText(streams.out.get(), lines);
    }
  });
  CHECK(Reap(worker) == 0);  // 200 MB
  CheckGrowth(before_kb, daemon.memory_kb(), 8192);
  CHECK(ReadFile(path).empty());

  stalled.Release();
  WriteText(streams.out.get(), "last\n");
  streams = {};
  const std::int64_t lost = daemon.Close(1);
  std::int64_t written = 0;
  std::int64_t told = 0;
  for (const LogLine& line : ParseLog(path)) {
    if (line.stream == LogStream::kOut) ++written;
    if (line.stream == LogStream::kLog) told += std::stoll(line.text);
  }
  CHECK(lost > kLines / 2);
  CHECK(told == lost);
  CHECK(written + lost == kLines + 1);
}

TEST_CASE("one stream that never pauses leaves the other its turn") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  Daemon daemon;
  auto streams = daemon.Open(
      1,
      {.path = folder.File("log"), .max_bytes = 100'000, .match = "^ready$"});
  const pid_t worker = Fork([&] {
    for (;;) WriteText(streams.out.get(), "yes\nyes\nyes\nyes\nyes\nyes\n");
  });
  for (int i = 0; i < 100; ++i) WriteText(streams.err.get(), "not yet\n");
  WriteText(streams.err.get(), "ready\n");
  daemon.Await(1, Kind::kMatched);
  ::kill(worker, SIGKILL);
  Reap(worker);
  streams = {};
  daemon.Close(1);
}

TEST_CASE("the first line that matches is told, of either stream, once") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  Daemon daemon;
  const LogWriter::Options options = {.path = folder.File("log"),
                                      .match = "^listening on port [0-9]+"};
  auto streams = daemon.Open(1, options);
  auto other = daemon.Open(2, options);
  WriteText(streams.out.get(), "starting\n  listening on port 1\nlistening on");
  WriteText(streams.err.get(), "listening on port 2" + std::string(5000, '.') +
                                   "\nlistening on port 3\n");
  const std::string line = daemon.Await(1, Kind::kMatched).text;
  CHECK(line == "listening on port 2" + std::string(1024 - 19, '.'));
  // Not by the process that comes after, either.
  daemon.Kill();
  daemon.Restart();
  WriteText(streams.out.get(), "\nlistening on port 4\n");
  // The last line, without a newline.
  WriteText(other.out.get(), "listening on port 5");
  streams = {};
  other = {};
  daemon.Close(1);
  daemon.Close(2);
  CHECK(daemon.Await(2, Kind::kMatched).text == "listening on port 5");
  for (const LogWriter::Event& event : daemon.TakeEvents()) {
    CHECK(event.kind == Kind::kOpened);
  }
}

TEST_CASE("what is in the pipe survives the process") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  daemon.Await(1, Kind::kOpened);
  WriteText(streams.out.get(), "before\n");
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 1; }));
  REQUIRE(::kill(daemon.writer().pid(), SIGSTOP) == 0);
  std::vector<std::string> expected = {"out before"};
  for (int i = 0; i < 1000; ++i) {
    WriteText(streams.out.get(), std::to_string(i) + "\n");
    expected.push_back("out " + std::to_string(i));
  }
  daemon.writer().Note(1, "waits in the socket and is lost");
  daemon.Kill();
  daemon.writer().Note(1, "waits in the daemon");
  auto other = daemon.Open(2, {.path = folder.File("other")});
  daemon.Restart();
  WriteText(other.out.get(), "opened in between\n");
  other = {};
  daemon.Close(2);
  CHECK(TextsOf(folder.File("other")) ==
        std::vector<std::string>{"out opened in between"});
  streams = {};
  daemon.Close(1);
  expected.emplace_back("note waits in the daemon");
  CHECK(TextsOf(path) == expected);
}

TEST_CASE(
    "a process that is killed again and again loses little, doubles nothing, "
    "and no service notices") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams =
      daemon.Open(1, {.path = path, .max_bytes = 10 << 20, .files = 100});
  auto end = MakePipe();
  REQUIRE(end);
  // "#00000042#", until it is told to end.
  constexpr std::size_t kLineBytes = 11;
  const pid_t worker = Fork([&] {
    pollfd told = {end->read_end.get(), POLLIN, 0};
    for (int number = 0; ::poll(&told, 1, 1) == 0;) {
      std::string lines;
      for (int i = 0; i < 2000; ++i) {
        char line[16];
        std::snprintf(line, sizeof(line), "#%08d#\n", number++);
        lines += line;
      }
      WriteText(streams.out.get(), lines);
    }
    WriteText(streams.out.get(), "end\n");
  });
  streams = {};
  constexpr std::size_t kKills = 10;
  for (std::size_t i = 0; i < kKills; ++i) {
    const std::uintmax_t before = SizeOf(path);
    REQUIRE(WaitFor([&] { return SizeOf(path) > before; }));
    daemon.Kill();
    daemon.Restart();
  }
  WriteText(end->write_end.get(), "x");
  CHECK(Reap(worker) == 0);  // and not by SIGPIPE
  daemon.Close(1);

  std::size_t torn = 0;
  std::size_t lost = 0;
  std::size_t next = 0;
  std::vector<LogLine> lines = ParseLog(path, &torn);
  REQUIRE(!lines.empty());
  CHECK(lines.back().text == "end");
  lines.pop_back();
  for (const auto& [time, stream, continued, line] : lines) {
    if (line.size() != kLineBytes - 1 || line.front() != '#' ||
        line.back() != '#') {
      ++torn;
      continue;
    }
    const std::size_t number = std::stoul(line.substr(1));
    REQUIRE(number >= next);
    lost += number - next;
    next = number + 1;
  }
  // One piece that was read and not written, and a line that it tore at each
  // of its ends.
  CHECK(lost <= kKills * ((16 << 10) / kLineBytes + 3));
  CHECK(torn <= kKills * 2);
}

TEST_CASE("without a daemon it goes on to the end of the streams") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  WriteText(streams.out.get(), "with\n");
  REQUIRE(WaitFor([&] { return ReadFile(path).ends_with("with\n"); }));
  const pid_t pid = daemon.GoAway();
  ::kill(pid, SIGTERM);
  ::kill(pid, SIGINT);
  ::kill(pid, SIGHUP);
  for (int i = 0; i < 1000; ++i) {
    WriteText(streams.out.get(), "without\n");
    WriteText(streams.err.get(), "without\n");
  }
  streams.out.Reset();
  REQUIRE(WaitFor([&] { return TextsOf(path).size() == 2001; }));
  CHECK(::waitpid(pid, nullptr, WNOHANG) == 0);
  WriteText(streams.err.get(), "last");
  streams.err.Reset();
  CHECK(Reap(pid) == 0);
  CHECK(TextsOf(path).back() == "err last");
}

TEST_CASE("a daemon is not held up by a process that does not run") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = path});
  daemon.Await(1, Kind::kOpened);
  REQUIRE(::kill(daemon.writer().pid(), SIGSTOP) == 0);
  const std::int64_t before_kb = StatusOf(::getpid(), "VmHWM");
  constexpr int kNotes = 20'000;
  for (int i = 0; i < kNotes; ++i) {
    daemon.writer().Note(1, std::to_string(i) + std::string(1000, '.'));
  }
  CheckGrowth(before_kb, StatusOf(::getpid(), "VmHWM"), 2048);
  CHECK(daemon.writer().wants_write());
  // Requests wait too, but not without end.
  std::vector<std::uint64_t> keys;
  std::string code;
  for (std::uint64_t key = 2; code.empty() && key < 20'000; ++key) {
    const auto opened =
        daemon.writer().Open(key, {.path = folder.File(std::string(200, 'x')),
                                   .match = std::string(1000, 'x')});
    if (opened) {
      keys.push_back(key);
    } else {
      code = opened.error().code;
    }
  }
  CHECK(code == error_code::kLimitReached);
  REQUIRE(::kill(daemon.writer().pid(), SIGCONT) == 0);
  for (const std::uint64_t key : keys) daemon.Close(key);
  CHECK(!daemon.writer().wants_write());
  daemon.writer().Note(1, "last");
  streams = {};
  daemon.Close(1);
  std::int64_t notes = 0;
  std::int64_t lost = 0;
  for (const LogLine& line : ParseLog(path)) {
    if (line.stream == LogStream::kNote) ++notes;
    if (line.stream == LogStream::kLog) lost += std::stoll(line.text);
  }
  CHECK(lost > 0);
  CHECK(notes + lost == kNotes + 1);
}

TEST_CASE("nothing is left of logs that were closed") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  Daemon daemon;
  auto first = daemon.Open(1, {.path = folder.File("log")});
  first = {};
  daemon.Close(1);
  const int own_fds = CountOpenFds();
  for (std::uint64_t key = 2; key < 200; ++key) {
    auto streams =
        daemon.Open(key, {.path = folder.File(std::to_string(key % 7))});
    WriteText(streams.err.get(), "one\n");
    streams = {};
    CHECK(daemon.Close(key) == 0);
  }
  CHECK(CountOpenFds() == own_fds);
  // It is told a moment before. What stays: the standard streams, the channel,
  // a pipe, a poll set.
  CHECK(WaitFor([&] {
    return CountFds(daemon.writer().pid()) == 7 &&
           StatusOf(daemon.writer().pid(), "Threads") == 1;
  }));
}

TEST_CASE("it has the standard streams of nobody, and no other descriptor") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const UniqueFd some_file(::open("/", O_RDONLY | O_CLOEXEC));
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = folder.File("log")});
  daemon.Await(1, Kind::kOpened);
  const std::string fds =
      "/proc/" + std::to_string(daemon.writer().pid()) + "/fd/";
  for (const char* number : {"0", "1", "2"}) {
    CHECK(std::filesystem::read_symlink(fds + number) == "/dev/null");
  }
  for (const auto& entry : std::filesystem::directory_iterator(fds)) {
    CHECK(std::filesystem::read_symlink(entry) != "/");
  }
  streams = {};
  daemon.Close(1);
}

TEST_CASE("a process without descriptors left says so, and others go on") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  Daemon daemon;
  auto streams = daemon.Open(1, {.path = folder.File("log")});
  daemon.Await(1, Kind::kOpened);
  struct rlimit old = {};
  struct rlimit few = {1, 1};
  const pid_t pid = daemon.writer().pid();
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &old) == 0);
  few.rlim_cur = static_cast<rlim_t>(CountFds(pid));
  few.rlim_max = old.rlim_max;
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &few, nullptr) == 0);
  auto lost = daemon.Open(2, {.path = folder.File("other")});
  CHECK(daemon.Await(2, Kind::kFailed).text.find("too many are open") !=
        std::string::npos);
  daemon.Await(2, Kind::kClosed);
  // Nobody reads it, and its service is not left to wait.
  pollfd broken = {lost.out.get(), POLLOUT, 0};
  CHECK(::poll(&broken, 1, 0) == 1);
  CHECK((broken.revents & POLLERR) != 0);
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &old, nullptr) == 0);
  lost = daemon.Open(3, {.path = folder.File("third")});
  daemon.Await(3, Kind::kOpened);
  WriteText(streams.out.get(), "one\n");
  streams = {};
  lost = {};
  CHECK(daemon.Close(1) == 0);
  CHECK(daemon.Close(3) == 0);
  CHECK(TextsOf(folder.File("log")) == std::vector<std::string>{"out one"});
}

// Forwards, back by a year, far ahead.
std::int64_t ReadJumpingClock() {
  static std::int64_t reads = 0;
  constexpr std::int64_t kYear = 31'536'000'000'000;
  constexpr std::int64_t kJumps[] = {0, -kYear, 20 * kYear, -60 * kYear};
  const std::int64_t read = reads++;
  return 57 * kYear + kJumps[read % 4] + read;
}

TEST_CASE("when the clock jumps, times do, and nothing else") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const std::string path = folder.File("log");
  auto pair = MakeSocketPair();
  REQUIRE(pair);
  const pid_t process = ::fork();
  REQUIRE(process >= 0);
  if (process == 0) RunLogProcess(std::move(pair->second), ReadJumpingClock);
  pair->second.Reset();
  auto pipe = MakePipe();
  REQUIRE(pipe);
  protocol::OpenLog body;
  body.key = 1;
  body.path = path;
  body.max_bytes = 1000;
  body.files = 100;
  const std::string frame = protocol::EncodeRequest(0, 2, body);
  const int fds[] = {pipe->read_end.get(), pipe->read_end.get()};
  REQUIRE(SendWithFds(pair->first.get(), frame.data(), frame.size(), fds, 2) ==
          static_cast<long>(frame.size()));
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back("out " + std::to_string(i));
    WriteText(pipe->write_end.get(), std::to_string(i) + "\n");
    REQUIRE(WaitFor([&] { return TextsOf(path).size() == expected.size(); }));
  }
  pipe->write_end.Reset();
  pair->first.Reset();
  CHECK(Reap(process) == 0);
  CHECK(TextsOf(path).size() == 100);
  int jumps = 0;
  std::int64_t last_us = 0;
  for (const LogLine& line : ParseLog(path)) {
    if (line.time_us < last_us) ++jumps;
    last_us = line.time_us;
  }
  CHECK(jumps > 20);
}

}  // namespace
}  // namespace forkserver::server
