// The command line of a Python zygote with tests: the interpreter, the package
// `forkserver`, its settings. Stateless.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

namespace forkserver::harness {

// What sdk/python/forkserver/test_zygote/request.py calls a Request.
struct PythonTests {
  std::string target;     // a path, FILE::NAME, a dotted name
  std::string framework;  // empty: the zygote finds out
  std::vector<std::string> arguments;
};

// The argv. The package is the interpreter's own, or that beside this program.
std::vector<std::string> PythonZygoteArgv(const std::string& python,
                                          const PythonTests& tests);

// The settings, in JSON. Bytes that are not UTF-8 stay as they are.
std::string PythonSettings(const PythonTests& tests);

// Preload steps: the package's own around those of the user.
std::vector<std::string> PythonPreload(const std::vector<std::string>& preload);

// The folder to be on sys.path for the package that is installed with this
// program, or empty.
std::string InstalledPackageFolder();

// An error of the zygote's start with what to do about it: there is no such
// interpreter, it cannot import what it needs, what it loaded cannot be forked.
Error ExplainPythonError(const Error& error, const std::string& python);

}  // namespace forkserver::harness
