// A project: what its forkserver.toml says is to run. Plain values.
#pragma once

#include <forkserver/client.h>

#include <string>
#include <vector>

namespace forkserver::project {

struct ZygoteEntry {
  ZygoteOptions options;
  int line = 0;
  int parent_line = 0;
};

struct ServiceEntry {
  ServiceOptions options;
  int line = 0;
  int after_line = 0;
  int zygote_line = 0;
};

// The options are complete: environment, absolute working directory, project.
struct Project {
  std::string file;  // absolute: what it is known by
  std::string root;  // its folder
  // Each after those that it needs, otherwise as in the file.
  std::vector<ZygoteEntry> zygotes;
  std::vector<ServiceEntry> services;
};

}  // namespace forkserver::project
