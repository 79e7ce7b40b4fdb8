// `--debug TEST`: one test, in a worker of the same kind as in a run, with the
// streams of this process; on its own or under gdb. Blocks until it is over.
#pragma once

#include <forkserver/client.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/harness/model/test_model.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

struct DebugRequest {
  std::string test;      // its id, its name, or a part of it that no other has
  std::string debugger;  // "gdb", or empty
  std::vector<std::string> env;  // of workers whose target leaves it to us
  std::string folder;            // for its files; exists
  std::function<void(const std::string&)> print_error;
};

// The exit code of the command: 0 it passed or was skipped, 1 it did not, 2
// there is no such test or more than one, 125 it could not be run.
//
// There is no time limit. INT, TERM, HUP and QUIT are forwarded to the test.
// A forked worker waits for gdb before its test begins (it stops itself when
// its environment has FORKSERVER_TEST_STOP); an exec worker is started by gdb.
int DebugTest(const DebugRequest& request, Client& client,
              const std::vector<std::unique_ptr<Target>>& targets,
              const RunPlan& plan);

}  // namespace forkserver::harness
