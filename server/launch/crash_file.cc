#include "server/launch/crash_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "sdk/process/crash_handler.h"
#include "sdk/process/platform.h"

namespace forkserver::server {
namespace {

constexpr std::string_view kPreload = "LD_PRELOAD=";
constexpr std::string_view kFile = "FORKSERVER_CRASH_FD=";

// AddressSanitizer refuses to run behind a library that is preloaded, unless it
// is told not to look.
constexpr std::string_view kSanitizer = "ASAN_OPTIONS=";
constexpr std::string_view kAnyOrder = "verify_asan_link_order=0";

// Puts `value` before or after what the variable has ("NAME="), with a colon.
void AddTo(std::vector<std::string>& env, std::string_view variable,
           std::string_view value, bool in_front) {
  const auto found =
      std::find_if(env.begin(), env.end(), [variable](const std::string& each) {
        return each.starts_with(variable);
      });
  if (found == env.end()) {
    env.push_back(std::string(variable).append(value));
  } else if (in_front) {
    found->insert(variable.size(), std::string(value) + ":");
  } else {
    found->append(":").append(value);
  }
}

// As it is installed, and as it is built. Empty: there is none.
std::string FindLibrary() {
  const std::string self = ExecutablePath();
  const std::string folder = self.substr(0, self.rfind('/') + 1);
  for (const char* beside : {"../lib/", "", "../sdk/process/"}) {
    std::string path = folder + beside + "libforkserver_crash.so";
    if (::access(path.c_str(), R_OK) == 0) return path;
  }
  return {};
}

}  // namespace

UniqueFd PlaceCrashFile(std::int64_t number, protocol::Setup& setup,
                        std::vector<UniqueFd>& fds) {
  const std::string library = FindLibrary();
  // Names in LD_PRELOAD end at a space or colon.
  if (library.empty() || library.find_first_of(" :") != library.npos) {
    return UniqueFd();
  }
  UniqueFd file = MakeSealedFile("forkserver crash", kCrashTextBytes);
  UniqueFd theirs(::fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
  if (!theirs) return UniqueFd();
  setup.fds.push_back({number, static_cast<std::int64_t>(fds.size())});
  fds.push_back(std::move(theirs));

  std::erase_if(setup.env, [](const std::string& variable) {
    return variable.starts_with(kFile);
  });
  // By its parent the library tells the worker from its children.
  setup.env.push_back(std::string(kFile) + std::to_string(number) + ":" +
                      std::to_string(::getpid()));
  AddTo(setup.env, kPreload, library, /*in_front=*/true);
  AddTo(setup.env, kSanitizer, kAnyOrder, /*in_front=*/false);
  return file;
}

std::string ReadCrashFile(const UniqueFd& file) {
  if (!file) return {};
  std::string text(kCrashTextBytes, '\0');
  const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(size < 0 ? 0 : ::strnlen(text.data(), text.size()));
  return text;
}

}  // namespace forkserver::server
