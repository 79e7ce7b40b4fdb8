// A folder for log files that is gone with its object, and what is in them.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace forkserver::testing {

class LogFolder {
 public:
  LogFolder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  ~LogFolder() { std::filesystem::remove_all(path_); }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/tmp/forkserver-log-XXXXXX";
};

// Empty when there is no such file.
inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// `path` and what was rotated, the oldest first.
inline std::vector<std::string> ListLogFiles(const std::string& path) {
  std::vector<std::string> paths = {path};
  for (int i = 1; std::filesystem::exists(path + "." + std::to_string(i));
       ++i) {
    paths.insert(paths.begin(), path + "." + std::to_string(i));
  }
  return paths;
}

inline std::string ReadLogFiles(const std::string& path) {
  std::string text;
  for (const std::string& each : ListLogFiles(path)) text += ReadFile(each);
  return text;
}

}  // namespace forkserver::testing
