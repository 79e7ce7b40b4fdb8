#include "tools/harness/targets/python_program.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "sdk/process/platform.h"

namespace forkserver::harness {
namespace {

// Nothing of the tests' folder is found before sys.path is right: it may hold
// anything. The zygote itself puts it in front.
constexpr char kProgram[] =
    "import sys; "
    "sys.path[:] = [p for p in [*sys.path, sys.argv.pop(1)] if p]; "
    "from forkserver.zygote_host.host import main; "
    "from forkserver.zygote_host.settings import Settings; "
    "sys.exit(main(Settings.from_json(sys.argv.pop())))";

constexpr char kPrepare[] = "forkserver.test_zygote.loading:prepare";
constexpr char kLoad[] = "forkserver.test_zygote.loading:load";

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

std::vector<std::string> PythonZygoteArgv(const std::string& python,
                                          const PythonTests& tests) {
  return {python, "-c", kProgram, InstalledPackageFolder(),
          PythonSettings(tests)};
}

std::string PythonSettings(const PythonTests& tests) {
  std::string arguments;
  for (const std::string& each : tests.arguments) {
    arguments += (arguments.empty() ? "" : ", ") + Quoted(each);
  }
  return R"({"tests": {"target": )" + Quoted(tests.target) +
         R"(, "framework": )" + Quoted(tests.framework) +
         R"(, "arguments": [)" + arguments + "]}}";
}

std::vector<std::string> PythonPreload(
    const std::vector<std::string>& preload) {
  std::vector<std::string> steps = {kPrepare};
  steps.insert(steps.end(), preload.begin(), preload.end());
  steps.emplace_back(kLoad);
  return steps;
}

std::string InstalledPackageFolder() {
  // PREFIX/bin/forkserver, PREFIX/lib/python3/dist-packages.
  std::string prefix = ExecutablePath();
  for (int i = 0; i < 2; ++i) {
    const std::size_t slash = prefix.rfind('/');
    if (slash == std::string::npos) return {};
    prefix.resize(slash);
  }
  std::string folder = prefix + "/lib/python3/dist-packages";
  const std::string package = folder + "/forkserver/test_zygote/__init__.py";
  return ::access(package.c_str(), R_OK) == 0 ? folder : std::string();
}

Error ExplainPythonError(const Error& error, const std::string& python) {
  Error explained = error;
  const std::string& text = error.message;
  if (error.code == error_code::kLaunchFailed) {
    explained.hint = "'" + python +
                     "' is to be the Python interpreter of the tests; choose "
                     "another one with --python";
  } else if (Contains(text, "No module named 'msgpack")) {
    explained.message = python +
                        " cannot import msgpack, which the package forkserver "
                        "needs";
    explained.hint =
        "apt install python3-msgpack, or pip install msgpack for "
        "that interpreter; or choose another one with --python";
  } else if (Contains(text, "No module named 'forkserver")) {
    explained.message = python + " cannot import the package forkserver";
    explained.hint =
        "tools/install puts it beside this program; or pip install "
        "./sdk/python for that interpreter; or name its folder in PYTHONPATH";
  } else if (error.code == error_code::kZygoteUnsafe ||
             error.code == error_code::kForkDeadlock) {
    explained.hint =
        "what is named was started when the tests were loaded: start it in a "
        "fixture (setUpModule, a pytest fixture) or in the tests" +
        (error.hint.empty() ? "" : "; " + error.hint);
  }
  return explained;
}

}  // namespace forkserver::harness
