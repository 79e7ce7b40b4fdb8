// System calls for a child between fork and exec: each returns its result or
// -errno and touches neither errno nor any other memory of the process, so
// that a child that shares its parent's memory (CLONE_VM) may make them while
// the parent runs.
#pragma once

#if defined(__linux__)
#include "sdk/process/child_calls_linux.h"
#else
#include "sdk/process/child_calls_darwin.h"
#endif
