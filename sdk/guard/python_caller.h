// Is it Python's subprocess that forks? Its child executes something, or ends.
#pragma once

namespace forkserver::guard {

// `caller`: the return address of fork(), which a thread that holds the
// interpreter's lock has called, if there is an interpreter.
bool IsPythonSubprocess(const void* caller);

}  // namespace forkserver::guard
