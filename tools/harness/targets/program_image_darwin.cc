#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "sdk/base/unique_fd.h"
#include "tools/harness/targets/program_image.h"

namespace forkserver::harness {

Result<ProgramImage> ReadProgramImage(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return SystemError("open(" + path + ")", errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) {
    return SystemError("fstat(" + path + ")", errno);
  }
  // Mach-O and universal files, of either byte order.
  std::uint32_t magic = 0;
  ProgramImage image;
  if (::pread(file.get(), &magic, sizeof(magic), 0) == sizeof(magic)) {
    for (const std::uint32_t known : {0xfeedfaceu, 0xfeedfacfu, 0xcafebabeu,
                                      0xcefaedfeu, 0xcffaedfeu, 0xbebafecau}) {
      image.is_native |= magic == known;
    }
  }
  image.parts = {{0, static_cast<std::uint64_t>(status.st_size)}};
  return image;
}

}  // namespace forkserver::harness
