#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/testing/report_memory.h"

namespace forkserver {

UniqueFd MakeReportMemory(const std::string&, std::size_t bytes) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr && *folder == '/' ? folder : "/tmp";
  path += "/forkserver-report-XXXXXX";
  UniqueFd fd(::mkstemp(path.data()));
  if (!fd) return fd;
  SetCloseOnExec(fd.get());
  ::unlink(path.c_str());
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) fd.Reset();
  return fd;
}

bool GiveBackReportMemory(int fd, std::size_t first, std::size_t bytes) {
  fpunchhole_t hole = {};
  hole.fp_offset = static_cast<off_t>(first);
  hole.fp_length = static_cast<off_t>(bytes - first);
  return ::fcntl(fd, F_PUNCHHOLE, &hole) == 0;
}

}  // namespace forkserver
