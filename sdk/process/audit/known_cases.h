// The table of libraries and descriptors of which it is known what a fork does
// to them. known_cases.json is the table; the code is made from it.
//
// Passive data; patterns are those of fnmatch(3).
#pragma once

#include <fnmatch.h>

#include <string>
#include <vector>

namespace forkserver::audit {

struct KnownCase {
  // "libgomp": stable, names the row in reports and docs/fork_safety.md.
  std::string id;
  std::string title;
  // An exported function `bool (void)` by which the library itself says
  // whether it was used in a way that no child survives.
  std::string asks;
  std::string why;
  std::string advice;
  std::string source;
  std::vector<std::string> thread;     // names of its threads
  std::vector<std::string> thread_of;  // file name of what started a thread
  // File name. Without `asks` nobody can say whether it was used.
  std::vector<std::string> library;
  std::vector<std::string> descriptor;   // what a descriptor is open on
  std::vector<std::string> explains;     // who may own an open connection
  std::vector<std::string> environment;  // NAME=value of a work-around
  bool survives = false;  // its threads and descriptors stand a fork
};

// In the order in which they are tried.
const std::vector<KnownCase>& KnownCases();

// What the patterns of files are held against.
inline std::string FileNameOf(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// True if one of `patterns` matches. Nothing matches an empty text.
inline bool Matches(const std::vector<std::string>& patterns,
                    const std::string& text) {
  for (const std::string& pattern : patterns) {
    if (!text.empty() && ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace forkserver::audit
