#include "tools/harness/targets/program_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;
constexpr std::size_t kOverlapBytes = 4u << 10;

}  // namespace

Result<std::vector<bool>> FindTexts(
    const std::string& path, const std::vector<ProgramImage::Part>& parts,
    const std::vector<std::string>& texts) {
  // Read, not mapped: a file that is cut off meanwhile would be a SIGBUS.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return SystemError("open(" + path + ")", errno);
  std::vector<bool> found(texts.size());
  std::string chunk;
  for (const ProgramImage::Part& part : parts) {
    std::uint64_t done = 0;
    chunk.clear();
    while (done < part.bytes) {
      // What is at the border of two chunks is seen in the second.
      if (chunk.size() > kOverlapBytes) {
        chunk.erase(0, chunk.size() - kOverlapBytes);
      }
      const std::size_t kept = chunk.size();
      const auto wanted = static_cast<std::size_t>(
          std::min<std::uint64_t>(kChunkBytes, part.bytes - done));
      chunk.resize(kept + wanted);
      const ssize_t size = ::pread(file.get(), chunk.data() + kept, wanted,
                                   static_cast<off_t>(part.offset + done));
      if (size < 0 && errno == EINTR) {
        chunk.resize(kept);
        continue;
      }
      if (size < 0) return SystemError("read(" + path + ")", errno);
      if (size == 0) break;
      chunk.resize(kept + static_cast<std::size_t>(size));
      done += static_cast<std::uint64_t>(size);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        if (!found[i]) {
          found[i] =
              std::string_view(chunk).find(texts[i]) != std::string_view::npos;
        }
      }
    }
  }
  return found;
}

}  // namespace forkserver::harness
