#include <fcntl.h>

#include "sdk/cpp/testing/report_memory.h"
#include "sdk/process/platform.h"

namespace forkserver {

UniqueFd MakeReportMemory(const std::string& name, std::size_t bytes) {
  // Sealed: a test that shrinks it would kill whoever reads it by SIGBUS.
  return MakeSealedFile(name.c_str(), bytes);
}

bool GiveBackReportMemory(int fd, std::size_t first, std::size_t bytes) {
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(first),
                     static_cast<off_t>(bytes - first)) == 0;
}

}  // namespace forkserver
