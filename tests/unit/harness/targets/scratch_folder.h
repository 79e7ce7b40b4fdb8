// A folder of a test, and files in it.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

namespace forkserver::harness {

class ScratchFolder {
 public:
  ScratchFolder() {
    char path[] = "/tmp/fsXXXXXX";
    path_ = ::mkdtemp(path);
  }
  ScratchFolder(ScratchFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // The path of the file.
  std::string Write(const std::string& name, std::string_view text,
                    mode_t mode = 0644) const {
    const std::string path = Path(name);
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

 private:
  std::string path_;
};

}  // namespace forkserver::harness
