#include "tools/harness/targets/command_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/base/unix_socket.h"

namespace forkserver::harness {
namespace {

constexpr std::size_t kMostBytes = 256u << 20;
constexpr std::size_t kErrTail = 4096;

Result<UniqueFd> MakeTemporaryFile() {
  const char* folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr && *folder == '/' ? folder : "/tmp";
  path += "/forkserver-XXXXXX";
  UniqueFd file(::mkstemp(path.data()));
  if (!file) return SystemError("mkstemp(" + path + ")", errno);
  ::unlink(path.c_str());
  SetCloseOnExec(file.get());
  return file;
}

std::string ReadFrom(int fd, off_t offset, std::size_t most) {
  std::string text(most, '\0');
  std::size_t size = 0;
  while (size < most) {
    const ssize_t read = ::pread(fd, text.data() + size, most - size,
                                 offset + static_cast<off_t>(size));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) break;
    size += static_cast<std::size_t>(read);
  }
  text.resize(size);
  return text;
}

std::size_t SizeOf(int fd) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::size_t>(status.st_size)
                                   : 0;
}

}  // namespace

Result<CommandOutput> RunCommand(Client& client, const Command& command) {
  auto out = MakeTemporaryFile();
  if (!out) return out.error();
  auto err = MakeTemporaryFile();
  if (!err) return err.error();
  SpawnOptions options;
  options.argv = command.argv;
  options.env = command.env;
  options.cwd = command.cwd;
  options.null_streams = true;
  options.fds = {{STDOUT_FILENO, out->get()}, {STDERR_FILENO, err->get()}};
  options.timeout = command.timeout;
  options.grace = std::chrono::milliseconds(1000);
  auto record = client.Run(options);
  if (!record) return record.error();
  CommandOutput output;
  output.exit = *std::move(record);
  output.out =
      ReadFrom(out->get(), 0, std::min(SizeOf(out->get()), kMostBytes));
  const std::size_t size = SizeOf(err->get());
  const std::size_t skipped = size > kErrTail ? size - kErrTail : 0;
  output.err =
      ReadFrom(err->get(), static_cast<off_t>(skipped), size - skipped);
  if (output.exit.reason == EndReason::kTimeout) {
    return MakeError(error_code::kTimeout,
                     command.argv[0] + " " + command.argv.back() +
                         " did not end within " +
                         std::to_string(command.timeout.count() / 1000) + " s");
  }
  return output;
}

std::string DescribeFailure(const CommandOutput& output) {
  std::string text;
  if (output.exit.code) {
    text = "it exited with code " + std::to_string(*output.exit.code);
  } else if (output.exit.signal) {
    text = "it was ended by signal " + std::to_string(*output.exit.signal);
  } else {
    text = "nobody could see how it ended";
  }
  std::string err = output.err;
  while (!err.empty() && err.back() == '\n') err.pop_back();
  if (!err.empty()) text += "; its standard error ends with: " + err;
  return text;
}

}  // namespace forkserver::harness
