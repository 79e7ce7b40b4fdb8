#include "tools/forkserver/symbols.h"

namespace forkserver::cli {

std::vector<NamedFrame> NameFrames(const std::vector<CrashFrame>& frames) {
  std::vector<NamedFrame> named;
  for (const CrashFrame& frame : frames) {
    named.push_back({frame.module, frame.offset, {}, {}, 0});
  }
  return named;
}

}  // namespace forkserver::cli
