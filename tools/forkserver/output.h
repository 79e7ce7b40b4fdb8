// What the commands print: tables and lines on standard output, one line per
// error on standard error. Buffered by stdio: see FlushOutput.
#pragma once

#include <forkserver/error.h>
#include <forkserver/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace forkserver::cli {

void PrintLine(std::string_view text);

// Columns as wide as their widest cell; the first row is the heading. An empty
// cell is shown as "-".
void PrintTable(const std::vector<std::vector<std::string>>& rows);

// "forkserver: TEXT" on standard error, on one line.
void PrintError(std::string_view text);
// "forkserver: warning: TEXT" on standard error, which may have several lines.
void PrintWarning(std::string_view text);
// Prints the error and returns kFailed.
int Fail(const Error& error);

// "exit code 3", "SIGSEGV (core dumped)", "lost", with the reason when it is
// not plain from these: "SIGTERM (timeout)".
std::string Describe(const ExitRecord& record);
// "ran out of memory (...): the kernel killed 2 processes of it"; empty if it
// did not.
std::string DescribeOomKills(const ExitRecord& record);

// False if not everything could be written, which it has said then.
bool FlushOutput();

}  // namespace forkserver::cli
