#include "tools/harness/targets/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {
namespace {

constexpr std::size_t kChunkBytes = 1u << 20;

#ifdef __APPLE__
std::int64_t ModifiedNs(const struct stat& status) {
  return std::int64_t{status.st_mtimespec.tv_sec} * 1'000'000'000 +
         status.st_mtimespec.tv_nsec;
}
std::int64_t ChangedNs(const struct stat& status) {
  return std::int64_t{status.st_ctimespec.tv_sec} * 1'000'000'000 +
         status.st_ctimespec.tv_nsec;
}
#else
std::int64_t ModifiedNs(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 +
         status.st_mtim.tv_nsec;
}
std::int64_t ChangedNs(const struct stat& status) {
  return std::int64_t{status.st_ctim.tv_sec} * 1'000'000'000 +
         status.st_ctim.tv_nsec;
}
#endif

std::string HexOf(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

Result<FileIdentity> Identify(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    return SystemError("stat(" + path + ")", errno);
  }
  FileIdentity identity;
  identity.device = status.st_dev;
  identity.inode = status.st_ino;
  identity.bytes = status.st_size;
  identity.modified_ns = ModifiedNs(status);
  identity.changed_ns = ChangedNs(status);
  identity.mode = status.st_mode;
  return identity;
}

Result<std::string> DigestOfFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return SystemError("open(" + path + ")", errno);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(
      XXH3_createState(), XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> chunk(kChunkBytes);
  for (;;) {
    const ssize_t size = ::read(file.get(), chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError("read(" + path + ")", errno);
    if (size == 0) break;
    XXH3_128bits_update(state.get(), chunk.data(),
                        static_cast<std::size_t>(size));
  }
  return HexOf(XXH3_128bits_digest(state.get()));
}

std::string DigestOf(const std::string& text) {
  return HexOf(XXH3_128bits(text.data(), text.size()));
}

}  // namespace forkserver::harness
