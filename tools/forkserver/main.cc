// forkserver, the command line of forkserverd. docs/command_line.md says what
// it does; command_table.cc lists its commands.
#include <fcntl.h>
#include <unistd.h>

#include "tools/forkserver/command_line.h"
#include "tools/forkserver/command_table.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"

namespace {

// With a closed stream the connection to the daemon could become that stream.
void OpenStandardStreams() {
  int fd;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= 2);
  if (fd > 2) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  OpenStandardStreams();
  const forkserver::cli::CommandLine line =
      forkserver::cli::ParseCommandLine(argc, argv);
  const int code = line.command != nullptr ? line.command->run(line.options)
                                           : line.exit_code;
  return forkserver::cli::FlushOutput() ? code : forkserver::cli::kFailed;
}
