#include "tools/forkserver/version_skew.h"

#include <forkserver/version.h>

#include <cctype>
#include <utility>
#include <vector>

#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

// Its numbers, in order: those of "0.10.0" are more than those of "0.9.2".
std::vector<unsigned long> NumbersOf(const std::string& version) {
  std::vector<unsigned long> numbers;
  bool in_number = false;
  for (const char letter : version) {
    const bool digit = std::isdigit(static_cast<unsigned char>(letter)) != 0;
    if (digit && !in_number) numbers.push_back(0);
    if (digit) numbers.back() = numbers.back() * 10 + (letter - '0');
    in_number = digit;
  }
  return numbers;
}

}  // namespace

std::string DescribeVersionSkew(const std::string& daemon_version) {
  if (daemon_version.empty() || daemon_version == kVersion) return {};
  const bool newer = NumbersOf(daemon_version) > NumbersOf(kVersion);
  return std::string("this is forkserver ") + kVersion +
         ", the daemon is forkserverd " + daemon_version +
         (newer ? ": a newer forkserver is installed elsewhere, see PATH"
                : ": `forkserver daemon upgrade` brings it to the version "
                  "installed");
}

void TellVersionSkew(const Client& client) {
  static bool told = false;
  const std::string skew = DescribeVersionSkew(client.daemon_version());
  if (!skew.empty() && !std::exchange(told, true)) PrintWarning(skew);
}

}  // namespace forkserver::cli
