#include "tests/unit/sdk_cpp/zygote_driver.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"

namespace forkserver::testing {
namespace {

constexpr std::int64_t kPatienceNs = 30'000'000'000;

// Waits for `done` in short steps, for what no descriptor tells of.
bool Eventually(const std::function<bool()>& done) {
  const std::int64_t deadline = MonotonicNanoseconds() + kPatienceNs;
  while (!done()) {
    if (MonotonicNanoseconds() > deadline) return false;
    const timespec step = {0, 1'000'000};
    ::nanosleep(&step, nullptr);
  }
  return true;
}

std::vector<std::string> BaseEnvironment() {
  std::vector<std::string> env = {"PATH=/usr/bin:/bin"};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) {
      env.push_back(std::string(name) + "=" + value);
    }
  }
  return env;
}

pid_t Launch(const std::vector<std::string>& arguments,
             std::vector<std::string> extra_env,
             const std::vector<int>& kept_fds, int output, int errors,
             int max_open_files) {
  const std::string program = ZygoteProgram();
  std::vector<std::string> env = BaseEnvironment();
  for (std::string& variable : extra_env) env.push_back(std::move(variable));
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& one : arguments) {
    argv.push_back(const_cast<char*>(one.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& variable : env) envp.push_back(variable.data());
  envp.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(output >= 0 ? output : null, 1);
    ::dup2(errors, 2);
    for (const int fd : kept_fds) ::fcntl(fd, F_SETFD, 0);
    if (max_open_files > 0) {
      struct rlimit limit = {};
      limit.rlim_cur = limit.rlim_max = static_cast<rlim_t>(max_open_files);
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  return pid;
}

}  // namespace

ZygoteChannel ZygoteChannel::Make(UniqueFd& zygote_control,
                                  UniqueFd& zygote_report) {
  SocketPair sockets = MakeSocketPair().value();
  Pipe pipe = MakePipe().value();
  zygote_control = std::move(sockets.second);
  zygote_report = std::move(pipe.write_end);
  ZygoteChannel channel;
  channel.control_ = std::move(sockets.first);
  channel.report_ = std::move(pipe.read_end);
  return channel;
}

void ZygoteChannel::SendBytes(std::string_view bytes,
                              const std::vector<int>& fds) {
  std::size_t fd_count = fds.size();
  while (!bytes.empty()) {
    const long sent = SendWithFds(control_.get(), bytes.data(), bytes.size(),
                                  fds.data(), fd_count);
    REQUIRE(sent > 0);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
    fd_count = 0;
  }
}

void ZygoteChannel::Configure(std::vector<std::string> preload) {
  protocol::Configure configure;
  configure.protocol = 1;
  configure.name = "tested";
  configure.preload = std::move(preload);
  configure.freeze = {"FROZEN_*", "LC_ALL"};
  Send(configure);
}

bool ZygoteChannel::WaitFor(const std::function<bool()>& done) {
  const std::int64_t deadline = MonotonicNanoseconds() + kPatienceNs;
  while (!done()) {
    const std::int64_t left_ms =
        (deadline - MonotonicNanoseconds()) / 1'000'000;
    if (left_ms <= 0) return false;
    pollfd entries[2] = {{control_closed ? -1 : control_.get(), POLLIN, 0},
                         {report_closed ? -1 : report_.get(), POLLIN, 0}};
    if (entries[0].fd < 0 && entries[1].fd < 0) return false;
    ::poll(entries, 2, static_cast<int>(left_ms));
    using Status = protocol::FrameReader::Status;
    if (entries[0].revents != 0) {
      if (control_reader_.Receive(control_.get()).value() == Status::kClosed) {
        control_closed = true;
      }
      TakeFrames(control_reader_);
    }
    if (entries[1].revents != 0) {
      const auto status = report_reader_.Receive(report_.get(), false);
      if (status.value() == Status::kClosed) report_closed = true;
      TakeFrames(report_reader_);
    }
  }
  return true;
}

void ZygoteChannel::TakeFrames(protocol::FrameReader& reader) {
  for (;;) {
    const auto frame = reader.Next().value();
    if (!frame) return;
    const auto message = protocol::Message::Parse(*frame);
    REQUIRE(message);
    const std::string& type = message->envelope().type;
    if (&reader == &report_reader_) {
      ++reports;
      longest_report =
          std::max(longest_report, frame->size() + protocol::kFrameHeaderBytes);
    }
    if (type == protocol::ZygoteHello::kType) {
      hello = message->Decode<protocol::ZygoteHello>().value();
    } else if (type == protocol::ZygoteReady::kType) {
      ready = message->Decode<protocol::ZygoteReady>().value();
    } else if (type == protocol::ZygoteFailed::kType) {
      zygote_failed = message->Decode<protocol::ZygoteFailed>().value().error;
    } else if (type == protocol::Started::kType) {
      const auto body = message->Decode<protocol::Started>().value();
      CHECK(started.emplace(body.worker, body).second);
      CHECK(exited.count(body.worker) == 0);
    } else if (type == protocol::Failed::kType) {
      const auto body = message->Decode<protocol::Failed>().value();
      CHECK(failed.emplace(body.worker, body).second);
    } else if (type == protocol::Exited::kType) {
      const auto body = message->Decode<protocol::Exited>().value();
      CHECK(exited.emplace(body.worker, body).second);
    } else {
      FAIL("unexpected message " << type);
    }
  }
}

ZygoteDriver::ZygoteDriver(const Options& options)
    : open_fds_before_(CountOpenFds()) {
  // Orphans come here, where the destructor sees them.
  BecomeSubreaper();
  UniqueFd control;
  UniqueFd report;
  channel_ = ZygoteChannel::Make(control, report);
  Pipe errors = MakePipe().value();
  errors_ = std::move(errors.read_end);
  std::vector<std::string> env = options.env;
  env.push_back("FORKSERVER_ZYGOTE_CONTROL_FD=" +
                std::to_string(control.get()));
  env.push_back("FORKSERVER_ZYGOTE_REPORT_FD=" + std::to_string(report.get()));
  pid_ = Launch({}, std::move(env), {control.get(), report.get()}, -1,
                errors.write_end.get(), options.max_open_files);
  REQUIRE(pid_ > 0);
}

ZygoteDriver::ZygoteDriver(std::vector<std::string> preload) : ZygoteDriver() {
  channel_.Configure(std::move(preload));
  const bool ready = channel_.WaitFor(
      [&] { return channel_.ready.has_value() || channel_.control_closed; });
  REQUIRE(ready);
  REQUIRE(channel_.ready.has_value());
}

ZygoteDriver::~ZygoteDriver() {
  channel_.CloseControl();
  CHECK(WaitForEnd().has_value());
  // Workers whose zygote was killed end by their parent-death signal.
  CHECK(Eventually([] {
    int status;
    while (::waitpid(-1, &status, WNOHANG) > 0) {
    }
    return ::waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD;
  }));
  channel_ = ZygoteChannel();
  errors_.Reset();
  CHECK(CountOpenFds() == open_fds_before_);
}

std::optional<int> ZygoteDriver::WaitForEnd() {
  if (pid_ < 0) return 0;
  int status = 0;
  const bool ended =
      Eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!ended) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
  }
  pid_ = -1;
  return ended ? std::optional<int>(status) : std::nullopt;
}

std::string ZygoteDriver::ReadErrors() { return ReadAll(errors_.get()); }

protocol::Setup MakeSetup(const std::string& entry, const std::string& args) {
  protocol::Setup setup;
  setup.env = {"PATH=/usr/bin:/bin"};
  setup.cwd = "/";
  setup.entry = entry;
  setup.args.data = args;
  return setup;
}

protocol::ForkWorker MakeForkWorker(const std::string& worker,
                                    const protocol::Setup& setup) {
  protocol::ForkWorker request;
  request.worker = worker;
  request.setup.data = protocol::EncodeBody(setup);
  return request;
}

std::string Call(ZygoteChannel& channel, const std::string& worker,
                 protocol::Setup setup) {
  Pipe pipe = MakePipe().value();
  setup.result = 0;
  channel.Send(MakeForkWorker(worker, setup), {pipe.write_end.get()});
  pipe.write_end.Reset();
  std::string result = ReadAll(pipe.read_end.get());
  REQUIRE(channel.WaitForExited(worker));
  if (const auto failed = channel.failed.find(worker);
      failed != channel.failed.end()) {
    FAIL_CHECK(failed->second.error.message);
  }
  return result;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    pollfd entry = {fd, POLLIN, 0};
    REQUIRE(::poll(&entry, 1, static_cast<int>(kPatienceNs / 1'000'000)) > 0);
    const ssize_t size = ::read(fd, buffer, sizeof(buffer));
    REQUIRE(size >= 0);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

std::string ZygoteProgram() {
  const char* path = std::getenv("ZYGOTE_PROGRAM");
  REQUIRE_MESSAGE(path != nullptr, "ZYGOTE_PROGRAM is not set");
  return path;
}

HandRun RunZygoteProgram(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& env) {
  Pipe output = MakePipe().value();
  Pipe errors = MakePipe().value();
  const pid_t pid = Launch(arguments, env, {}, output.write_end.get(),
                           errors.write_end.get(), 0);
  REQUIRE(pid > 0);
  output.write_end.Reset();
  errors.write_end.Reset();
  HandRun run;
  run.output = ReadAll(output.read_end.get());
  run.errors = ReadAll(errors.read_end.get());
  REQUIRE(::waitpid(pid, &run.status, 0) == pid);
  return run;
}

}  // namespace forkserver::testing
