// How a zygote and its children write to the daemon: frames on the control
// socket, reports on the report pipe. Passive and stateless; both block while
// the daemon does not read.
#pragma once

#include <forkserver/error.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace forkserver {

// Sends all of `frame`, with `fd` unless that is negative. False when nobody
// reads any more, or if the descriptor cannot be sent now: then nothing was.
bool SendControlFrame(int control_fd, std::string_view frame, int fd = -1);

// Waits until there is something to read, or end of file.
void WaitUntilReadable(int fd);

// Writes `frame`, of at most kMaxReportBytes, in one write(2), so that the
// reports of several processes do not mix. False when nobody reads any more
// or, after some seconds, when the system has no room for it; SIGPIPE must be
// ignored.
bool WriteReport(int report_fd, std::string_view frame);

// A Failed report that fits kMaxReportBytes: its longest texts are cut short
// ("...") as far as needed. `worker` is at most kMaxNameBytes long.
std::string EncodeFailed(const std::string& worker, pid_t pid,
                         const Error& error);

// `text` in as many Crash reports as it needs, each within kMaxReportBytes.
std::vector<std::string> EncodeCrash(const std::string& worker,
                                     const std::string& part,
                                     std::string_view text);

}  // namespace forkserver
