#include "tools/forkserver/symbols.h"

namespace forkserver::cli {

class Symbols::Module {};

Symbols::Symbols() = default;
Symbols::~Symbols() = default;

NamedFrame Symbols::Name(const CrashFrame& frame) {
  return {frame.module, frame.offset, {}, {}, 0};
}

std::vector<NamedFrame> NameFrames(const std::vector<CrashFrame>& frames) {
  Symbols symbols;
  std::vector<NamedFrame> named;
  named.reserve(frames.size());
  for (const CrashFrame& frame : frames) named.push_back(symbols.Name(frame));
  return named;
}

}  // namespace forkserver::cli
