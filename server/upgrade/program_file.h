// Which file a program is.
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver::server {

// The path under which this program was started, absolute: a link that leads
// to it stays that link, to whatever it leads later. Call before the working
// directory is changed. Empty if it cannot be told.
std::string StartedAs(const std::string& argv0);

// A word for the file that a path is now, or that this process executes: it is
// another one when the file was replaced or written to. Error if it is none
// that can be executed.
Result<std::string> IdentityOf(const std::string& path);
Result<std::string> OwnIdentity();

}  // namespace forkserver::server
