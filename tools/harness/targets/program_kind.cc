#include "tools/harness/targets/program_kind.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "tools/harness/targets/program_image.h"

namespace forkserver::harness {
namespace {

// A text that is not in this program as it is in those that it looks for.
std::string Joined(std::string_view first, std::string_view second) {
  return std::string(first) + std::string(second);
}

struct Sign {
  std::string text;
  ProgramKind kind;
};

// The first that is found counts.
std::vector<Sign> Signs() {
  using enum Framework;
  const std::string warm = Joined("@forkserver test ", "program, version 1: ");
  return {
      {warm + "doctest@", {kDoctest, true}},
      {warm + "gtest@", {kGoogleTest, true}},
      // The help of Catch2 2 and 3.
      {Joined("For more detailed usage please see ", "the project docs"),
       {kCatch2, false}},
      {Joined("libCatch", "2.so"), {kCatch2, false}},
      {Joined("This program contains tests written ", "using Google Test"),
       {kGoogleTest, false}},
      {Joined("This program contains tests written ", "using "),
       {kGoogleTest, false}},
      {Joined("libg", "test.so"), {kGoogleTest, false}},
      {Joined("doctest version ", "is \""), {kDoctest, false}},
  };
}

Result<void> CheckFile(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return MakeError(error_code::kBadRequest, "there is no file " + path,
                       "name a test program, or a Python test path");
    }
    return SystemError("stat(" + path + ")", errno);
  }
  if (S_ISDIR(status.st_mode)) {
    return MakeError(error_code::kBadRequest,
                     path + " is a folder, and no program",
                     "name the test programs in it");
  }
  if (!S_ISREG(status.st_mode)) {
    return MakeError(error_code::kBadRequest, path + " is no file",
                     "name a test program");
  }
  if (::access(path.c_str(), X_OK) != 0) {
    return MakeError(error_code::kBadRequest, path + " is not executable",
                     "chmod +x it, if it is a test program");
  }
  return {};
}

}  // namespace

std::string_view NameOf(Framework framework) {
  switch (framework) {
    case Framework::kDoctest:
      return "doctest";
    case Framework::kGoogleTest:
      return "gtest";
    case Framework::kCatch2:
      return "catch2";
    case Framework::kNone:
      return "program";
  }
  return "";
}

Result<ProgramKind> FindProgramKind(const std::string& path,
                                    const std::string& wanted) {
  if (auto checked = CheckFile(path); !checked) return checked.error();
  auto image = ReadProgramImage(path);
  if (!image) return image.error();
  const std::vector<Sign> signs = Signs();
  ProgramKind found;
  // A script that runs a test program is a program itself.
  if (image->is_native) {
    std::vector<std::string> texts;
    texts.reserve(signs.size());
    for (const Sign& sign : signs) texts.push_back(sign.text);
    auto there = FindTexts(path, image->parts, texts);
    if (!there) return there.error();
    for (std::size_t i = 0; i < signs.size(); ++i) {
      if (!(*there)[i]) continue;
      found = signs[i].kind;
      break;
    }
  }
  if (wanted.empty() || wanted == NameOf(found.framework)) return found;
  for (const Framework each : {Framework::kDoctest, Framework::kGoogleTest,
                               Framework::kCatch2, Framework::kNone}) {
    if (wanted == NameOf(each)) return ProgramKind{each, false};
  }
  return MakeError(error_code::kBadRequest,
                   "there is no framework '" + wanted + "' for programs",
                   "known are: doctest, gtest, catch2, program");
}

}  // namespace forkserver::harness
