#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tools/forkserver/guardable.h"

namespace forkserver::cli {

// The loader ignores DYLD_INSERT_LIBRARIES for what the system protects
// (SF_RESTRICTED: all of /usr/bin and /bin) and for what gains rights.
Result<std::string> FindGuardable(const std::string& name) {
  struct stat status = {};
  if (name.find('/') == std::string::npos) return name;
  if (::stat(name.c_str(), &status) != 0) {
    return SystemError("execve(" + name + ")", errno);
  }
  if ((status.st_flags & SF_RESTRICTED) != 0 ||
      (status.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return MakeError(error_code::kSystem,
                     name +
                         " cannot be guarded: the system protects it and "
                         "ignores libforkguard",
                     "use a copy of it that is not the system's");
  }
  return name;
}

const char* PreloadVariable() { return "DYLD_INSERT_LIBRARIES"; }

}  // namespace forkserver::cli
