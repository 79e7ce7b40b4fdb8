// `up`, `down`, `reload`, `restart` without a name, `check`: what a
// forkserver.toml says is to run. Each function is a whole command and returns
// its exit code.
#pragma once

#include "tools/forkserver/options.h"

namespace forkserver::cli {

int BringUp(const Options& options);
int TakeDown(const Options& options);
int ReloadProject(const Options& options);
int RestartProject(const Options& options);
int CheckProject(const Options& options);

// `restart NAME` as well.
int RestartServiceOrProject(const Options& options);

}  // namespace forkserver::cli
