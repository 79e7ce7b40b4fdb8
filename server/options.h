// The command line of forkserverd as values.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/logging.h"

namespace forkserver::server {

struct Options {
  std::string socket_path;                // --socket; absolute
  bool foreground = false;                // --foreground
  LogLevel log_level = LogLevel::kInfo;   // --log-level
  std::int64_t idle_exit_ms = 0;          // --idle-exit; 0: never
  std::int64_t zygote_idle_ms = 600'000;  // --zygote-idle; 0: never
  bool allow_confined = false;            // --allow-confined
  bool keep_surroundings = false;         // --keep-surroundings
  std::vector<std::string> argv;          // as it was called
  std::string program;                    // the path by which it was
  bool show_version = false;              // --version
  bool show_help = false;                 // --help
};

extern const char kHelpText[];

// "2s", "500ms", "1m", "1h"; a bare number is seconds. In milliseconds.
Result<std::int64_t> ParseDurationMs(const std::string& text);

Result<Options> ParseOptions(int argc, char** argv);

}  // namespace forkserver::server
