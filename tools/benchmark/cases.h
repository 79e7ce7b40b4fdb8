// The cases of the benchmark. Each starts what it needs, measures, stops it
// and returns its rows, or the error that kept it from measuring.
#pragma once

#include <forkserver/result.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tools/benchmark/private_daemon.h"
#include "tools/benchmark/report.h"
#include "tools/benchmark/sampler.h"
#include "tools/benchmark/shared_stamp.h"

namespace forkserver::benchmark {

struct CaseContext {
  Programs programs;
  Stamp* stamp = nullptr;  // mapped by every zygote of the benchmark too
  bool quick = false;
  std::chrono::milliseconds patience{0};
  // Takes what a case leaves out, and why.
  std::function<void(std::string)> skip;

  // Few rounds when quick.
  Pace PaceOf(int rounds, std::chrono::microseconds idle) const {
    return {quick ? 5 : rounds, idle, patience};
  }
};

using Rows = Result<std::vector<Row>>;

// Exec workers against posix_spawn and vfork + exec.
Rows MeasureExecTiny(const CaseContext& context);
Rows MeasureExecTrue(const CaseContext& context);
// From a client of a gigabyte against one from a small client.
Rows MeasureExecLarge(const CaseContext& context);
// Forked workers against fork in a process of the same size.
Rows MeasureForked(const CaseContext& context);
// The same from a zygote of a gigabyte.
Rows MeasureForkedLarge(const CaseContext& context);
// The answer to a request whose worker computes from its first instruction on.
Rows MeasureForkedBusy(const CaseContext& context);
// Requests per second.
Rows MeasureThroughputExec(const CaseContext& context);
Rows MeasureThroughputForked(const CaseContext& context);
// A request while many other workers live.
Rows MeasureLiveExec(const CaseContext& context);
Rows MeasureLiveForked(const CaseContext& context);
// A request while many clients are connected.
Rows MeasureConnections(const CaseContext& context);
// What the daemon computes for an event that it tells a subscriber.
Rows MeasureEvents(const CaseContext& context);
// Where the time of a request goes.
Rows MeasureJourney(const CaseContext& context);
// Forked workers against CPython's multiprocessing forkserver.
Rows MeasureMultiprocessing(const CaseContext& context);
// The start method forkserverd against those of CPython.
Rows MeasurePythonProcess(const CaseContext& context);
Rows MeasurePythonPool(const CaseContext& context);
// A spare of a zygote with Django against its fork, and multiprocessing's.
Rows MeasurePythonSpare(const CaseContext& context);
// Runs of a Django project's tests against Django's own parallel runs.
Rows MeasurePythonDjango(const CaseContext& context);
// Exec workers against other programs that start programs.
Rows MeasurePeersTrue(const CaseContext& context);
// Forked workers against AFL++'s forkserver.
Rows MeasurePeersForked(const CaseContext& context);
// `forkserver test` against runs without isolation, and with an exec per test.
Rows MeasureHarnessDoctest(const CaseContext& context);
Rows MeasureHarnessGtest(const CaseContext& context);

}  // namespace forkserver::benchmark
