#include "tools/forkserver/logs_command.h"

#include <forkserver/client.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/log_reader.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/signal_pipe.h"

namespace forkserver::cli {
namespace {

// How often a log that is followed is looked at.
constexpr int kLookEveryMs = 100;

std::int64_t NowMicroseconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Result<std::string> FindLog(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return client.error();
  Result<Snapshot> snapshot = client->List();
  if (!snapshot) return snapshot.error();
  for (const ServiceInfo& service : snapshot->services) {
    if (service.name != options.service) continue;
    if (!service.log.empty()) return service.log;
    return MakeError(error_code::kBadRequest,
                     "the output of service '" + service.name + "' is not kept",
                     "it was started with --log-size 0");
  }
  return MakeError(error_code::kUnknownService,
                   "there is no service '" + options.service + "'",
                   "see `forkserver services`");
}

void Show(const LogLine& line, bool json) {
  if (json) {
    PrintLine(ToJson(line));
    return;
  }
  // A long line comes in pieces.
  static bool inside[4] = {};
  bool& goes_on = inside[static_cast<int>(line.stream)];
  std::string text;
  if (!goes_on) {
    text = FormatLogTime(line.time_us) + " " +
           std::string(NameOf(line.stream)) + " ";
  }
  goes_on = line.continued;
  text += line.text;
  if (!line.continued) text += "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

int ShowLogs(const Options& options) {
  LogSelection selection;
  if (!options.since.empty()) {
    auto since = ParseSince(options.since, NowMicroseconds());
    if (!since) {
      PrintError("--since: " + since.error().message +
                 "; see `forkserver logs --help`");
      return kUsage;
    }
    selection.since_us = *since;
  }
  if (options.lines) {
    selection.last_lines = static_cast<std::size_t>(*options.lines);
  }
  auto signals = SignalPipe::Open({SIGINT, SIGTERM});
  if (!signals) return Fail(signals.error());
  Result<std::string> path = FindLog(options);
  if (!path) return Fail(path.error());
  LogReader reader(*path, selection);
  while (true) {
    const auto read =
        reader.Read([&](const LogLine& line) { Show(line, options.json); });
    // One that is followed may not have written anything yet.
    if (!read && !(options.follow && read.error().error_number == ENOENT)) {
      return Fail(read.error());
    }
    if (!FlushOutput()) return kFailed;
    if (!options.follow) return kOk;
    pollfd polled = {signals->descriptor(), POLLIN, 0};
    if (::poll(&polled, 1, kLookEveryMs) > 0) return kOk;
  }
}

}  // namespace forkserver::cli
