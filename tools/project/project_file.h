// Reads the project of a forkserver.toml:
//
//   inherit = ["PATH", "HOME"]       of the caller's environment
//   [environment]                    of all
//   LANG = "C.UTF-8"
//   [zygotes.render]
//   command = ["./render"]
//   [services.web]
//   command = "./serve --port $PORT" a text is for the shell
//   after = ["db"]
//   environment = { PORT = "8000" }
//
// The other keys are the long options of `forkserver start` and `forkserver
// zygote start`. docs/project_file.md has all of them.
#pragma once

#include <string>
#include <vector>

#include "tools/project/problem.h"
#include "tools/project/project.h"
#include "tools/toml/toml_file.h"

namespace forkserver::project {

struct ProjectOutcome {
  Project project;  // to be used only without problems
  std::vector<Problem> problems;
};

// `path` is absolute; problems show it as `shown`. `environment` is the
// caller's, "NAME=value".
ProjectOutcome MakeProject(const TomlFile& toml, const std::string& path,
                           const std::string& shown,
                           const std::vector<std::string>& environment);

}  // namespace forkserver::project
