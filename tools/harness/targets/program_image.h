// What a program file is, without running it. Passive; reads the file.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::harness {

struct ProgramImage {
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  // A program for this system's loader, not a script.
  bool is_native = false;
  // That is loaded: where its texts are. Of what is not native, all of it.
  std::vector<Part> parts;
  // The loader that it asks for, "/lib64/ld-linux-x86-64.so.2"; empty: static.
  std::string interpreter;
};

// Errors of the file system. A file that is damaged is one that is not native.
Result<ProgramImage> ReadProgramImage(const std::string& path);

// Which of `texts` are in these parts of the file, in their order. A text has
// at most 4 KiB.
Result<std::vector<bool>> FindTexts(
    const std::string& path, const std::vector<ProgramImage::Part>& parts,
    const std::vector<std::string>& texts);

}  // namespace forkserver::harness
