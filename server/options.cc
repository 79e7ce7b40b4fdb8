#include "server/options.h"

#include <getopt.h>
#include <unistd.h>

#include <utility>

#include "sdk/process/socket_path.h"

namespace forkserver::server {
namespace {

enum Flag {
  kSocket = 1,
  kForeground,
  kLogLevel,
  kIdleExit,
  kZygoteIdle,
  kAllowConfined,
  kKeepSurroundings,
  kVersionFlag,
  kHelp,
};

const option kFlags[] = {
    {"socket", required_argument, nullptr, kSocket},
    {"foreground", no_argument, nullptr, kForeground},
    {"log-level", required_argument, nullptr, kLogLevel},
    {"idle-exit", required_argument, nullptr, kIdleExit},
    {"zygote-idle", required_argument, nullptr, kZygoteIdle},
    {"allow-confined", no_argument, nullptr, kAllowConfined},
    {"keep-surroundings", no_argument, nullptr, kKeepSurroundings},
    {"version", no_argument, nullptr, kVersionFlag},
    {"help", no_argument, nullptr, kHelp},
    {nullptr, 0, nullptr, 0},
};

Error UsageError(std::string message) {
  return MakeError(error_code::kBadRequest, std::move(message),
                   "see forkserverd --help");
}

std::string Absolute(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  char folder[4096];
  if (::getcwd(folder, sizeof(folder)) == nullptr) return path;
  return std::string(folder) + "/" + path;
}

}  // namespace

const char kHelpText[] =
    "forkserverd: a clean, single-threaded fork server for this user session\n"
    "\n"
    "usage: forkserverd [options]\n"
    "\n"
    "  --socket PATH       serve this socket (default: FORKSERVER_SOCKET, "
    "then\n"
    "                      the session's; see `forkserver socket-path`)\n"
    "  --foreground        stay in the foreground and log to standard error;\n"
    "                      without it, return once the socket accepts and log\n"
    "                      to PATH.log\n"
    "  --log-level LEVEL   error, warning, info (default) or debug\n"
    "  --idle-exit TIME    end when there was nothing to do for TIME\n"
    "                      (default: never)\n"
    "  --zygote-idle TIME  end zygotes that were not used for TIME\n"
    "                      (default: 600s; 0: never)\n"
    "  --allow-confined    serve clients that are more confined than the\n"
    "                      daemon (see docs/security.md before you do)\n"
    "  --keep-surroundings in the background, too: niceness, CPUs and the "
    "like\n"
    "                      of whoever starts it are its workers' (see\n"
    "                      docs/session_start.md)\n"
    "  --version, --help\n"
    "\n"
    "TIME is 2s, 500ms, 1m, 1h; a bare number is seconds.\n"
    "\n"
    "exit codes: 0 stopped in order, or serves now; 1 another one serves the\n"
    "socket; 2 bad command line; 3 could not start\n";

Result<std::int64_t> ParseDurationMs(const std::string& text) {
  double number = 0;
  std::size_t end = 0;
  // Digits and at most one point: macOS's libc++ has no floating from_chars.
  std::int64_t whole = 0;
  double scale = 0;
  for (; end < text.size(); ++end) {
    const char letter = text[end];
    if (letter == '.' && scale == 0) {
      scale = 1;
    } else if (letter >= '0' && letter <= '9' && whole < (1LL << 52)) {
      whole = whole * 10 + (letter - '0');
      scale *= 10;
    } else {
      break;
    }
  }
  number = static_cast<double>(whole) / (scale > 0 ? scale : 1);
  const std::string unit = text.substr(end);
  double factor = 0;
  if (unit.empty() || unit == "s") factor = 1000;
  if (unit == "ms") factor = 1;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (end == 0 || factor == 0 || number * factor > 3.2e11) {
    return UsageError("'" + text + "' is not a duration such as 2s, 500ms, 1m");
  }
  return static_cast<std::int64_t>(number * factor);
}

Result<Options> ParseOptions(int argc, char** argv) {
  Options options;
  std::string socket;
  opterr = 0;
  optind = 1;
  for (;;) {
    const int at = optind;
    const int flag = ::getopt_long(argc, argv, ":", kFlags, nullptr);
    if (flag == -1) break;
    switch (flag) {
      case kSocket:
        if (*optarg == '\0') return UsageError("--socket needs a path");
        socket = optarg;
        break;
      case kForeground:
        options.foreground = true;
        break;
      case kLogLevel:
        if (!ParseLogLevel(optarg, options.log_level)) {
          return UsageError(std::string("--log-level '") + optarg +
                            "' is none of error, warning, info, debug");
        }
        break;
      case kIdleExit:
      case kZygoteIdle: {
        auto duration = ParseDurationMs(optarg);
        if (!duration) return duration.error();
        (flag == kIdleExit ? options.idle_exit_ms : options.zygote_idle_ms) =
            *duration;
        break;
      }
      case kAllowConfined:
        options.allow_confined = true;
        break;
      case kKeepSurroundings:
        options.keep_surroundings = true;
        break;
      case kVersionFlag:
        options.show_version = true;
        break;
      case kHelp:
        options.show_help = true;
        break;
      case ':':
        return UsageError(std::string(argv[at]) + " needs a value");
      default:
        return UsageError(std::string("unknown option ") + argv[at]);
    }
  }
  if (optind < argc) {
    return UsageError(std::string("unexpected argument '") + argv[optind] +
                      "'");
  }
  options.socket_path = Absolute(FindSocketPath(socket));
  return options;
}

}  // namespace forkserver::server
