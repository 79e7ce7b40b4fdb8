// What a zygote program offers: its entries and preload steps, by name. A
// plain value, filled before Serve and only read after it; a zygote that is
// forked from a zygote has the same.
#pragma once

#include <forkserver/result.h>
#include <forkserver/zygote.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace forkserver {

using PreloadStep = std::function<Result<void>()>;
// See Zygote::KeepDescriptors.
using KeptChoice = std::function<std::vector<int>(std::vector<int>)>;

struct ZygoteRegistry {
  std::map<std::string, Entry> entries;
  std::map<std::string, PreloadStep> preloads;
  std::vector<std::string> preload_order;  // in which they were added
  KeptChoice choose_kept;                  // may be empty
};

// In a list of preload steps: all of them, in the order in which they were
// added.
inline constexpr char kAllPreloads[] = "*";

// The exit code of a zygote or a forked worker that did not come to life.
inline constexpr int kSetupFailedExitCode = 125;

// "a, b, c", or "none": the keys, for messages.
template <typename Map>
std::string JoinKeys(const Map& map) {
  std::string text;
  for (const auto& [name, value] : map) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace forkserver
