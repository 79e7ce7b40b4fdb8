// Is a file still the same as before? Asked of the file system, which is fast;
// what is in it is asked by content_digest.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace forkserver::harness {

// Equal ones: nobody wrote to the file or put another one in its place, as
// long as the clock was not set back.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  mode_t mode = 0;

  bool operator==(const FileIdentity&) const = default;
};

// Follows links.
Result<FileIdentity> Identify(const std::string& path);

// 128 bits of the content, as hex digits. Blocks while it reads. Not for
// secrets.
Result<std::string> DigestOfFile(const std::string& path);
// The same of a text.
std::string DigestOf(const std::string& text);

}  // namespace forkserver::harness
