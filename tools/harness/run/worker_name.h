// The name of the worker that runs a test.
#pragma once

#include <cstddef>
#include <string>

namespace forkserver::harness {

// The id of the test, or the end of it: the daemon takes names up to a length.
inline std::string WorkerNameOf(const std::string& test_id) {
  constexpr std::size_t kMost = 128;  // docs/protocol.md, `name`
  if (test_id.size() <= kMost) return test_id;
  std::size_t begin = test_id.size() - kMost;
  // Not within a letter of UTF-8.
  while (begin < test_id.size() && (test_id[begin] & 0xC0) == 0x80) ++begin;
  return test_id.substr(begin);
}

}  // namespace forkserver::harness
