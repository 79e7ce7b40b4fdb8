// What a framework said on a report page, as the harness wants it. Pure.
#pragma once

#include <forkserver/result.h>

#include <vector>

#include "sdk/protocol/test_messages.h"
#include "tools/harness/model/test_model.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

// `records`: of ReportPage::Read(). One word for each of `tests`; what is said
// of others is damage: a worker tells of what it was asked for.
FrameworkReport WordsOf(
    const Result<std::vector<protocol::TestProgress>>& records,
    const std::vector<const TestCase*>& tests);

}  // namespace forkserver::harness
