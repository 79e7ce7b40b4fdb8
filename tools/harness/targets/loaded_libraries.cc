#include "tools/harness/targets/loaded_libraries.h"

#include <algorithm>
#include <chrono>

#include "tools/harness/targets/command_output.h"
#include "tools/harness/targets/program_image.h"

namespace forkserver::harness {

std::vector<std::string> ListLibrariesOf(Client& client,
                                         const std::string& path,
                                         const TargetOptions& options) {
  const auto image = ReadProgramImage(path);
  if (!image || image->interpreter.empty()) return {};
  Command command;
  command.argv = {image->interpreter, "--list", path};
  command.env = options.env;
  command.cwd = options.cwd;
  command.timeout = std::chrono::seconds(30);
  const auto output = RunCommand(client, command);
  if (!output || output->exit.code != 0) return {};
  return ReadLoaderList(output->out);
}

std::vector<std::string> ReadLoaderList(const std::string& text) {
  // "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)"
  // "\t/lib64/ld-linux-x86-64.so.2 (0x00007f...)"
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t begin = line.find('/');
    const std::size_t address = line.rfind(" (0x");
    const std::size_t arrow = line.find(" => ");
    if (begin == std::string::npos || address == std::string::npos ||
        address < begin) {
      continue;
    }
    const std::size_t from = arrow != std::string::npos ? arrow + 4 : begin;
    if (from >= address || line[from] != '/') continue;
    paths.push_back(line.substr(from, address - from));
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

}  // namespace forkserver::harness
