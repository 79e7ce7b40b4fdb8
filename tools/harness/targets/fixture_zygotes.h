// Between the zygote of a pytest target and its workers: zygotes that have set
// up fixtures.
//
//   zygote of the target   has collected
//   └─ of the session      session fixtures of the tests that are to run
//      └─ of a file        its module fixtures
//
// That of a file is made when its first test is due and ended when many others
// were needed since. Each tears its fixtures down when it ends. A fixture that
// leaves something behind that no fork survives is left to the workers.
// sdk/python/forkserver/test_zygote/pytest_fixtures.py is the other side.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/cpp/testing/report_page.h"
#include "tools/harness/model/test_model.h"
#include "tools/harness/targets/target.h"

namespace forkserver::harness {

class FixtureZygotes {
 public:
  // `base`: the name of the target's zygote.
  FixtureZygotes(std::string base, const TargetOptions& options);
  ~FixtureZygotes();

  // Makes that of the session, if one is needed. Blocks while its fixtures are
  // set up. `selected`: the tests that are to run, by name.
  Result<void> Plan(Client& client, const std::vector<std::string>& selected);

  // Whether Choose may be called for a test. If not, what it needs is being
  // made: a callback of `client` changes the answer. Does not block.
  bool IsReady(Client& client, const std::string& test);
  // The zygote to fork the test's worker from.
  std::string Choose(const std::string& test);

  // All are gone with the target's zygote: forgets them, and plans anew.
  Result<void> Revive(Client& client, std::string base);

  // Ends them, and waits for their fixtures' end for so long at most. What went
  // wrong then, for people.
  std::vector<std::string> Finish(Client& client,
                                  std::chrono::milliseconds patience);

  // About fixtures that are left to the workers.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Zygote;
  struct File;

  std::unique_ptr<Zygote> Prepare(const std::string& parent,
                                  const std::string& step,
                                  const std::vector<std::string>& tests,
                                  std::vector<std::string> excluded,
                                  ZygoteOptions& options);
  // Reads which fixtures are in its way; false: none, it is something else.
  bool LearnUnsafe(const Zygote& zygote, std::vector<std::string>& excluded);
  Result<void> StartSession(Client& client);
  void StartFile(Client& client, File& file);
  void OnFileStarted(Client& client, File& file,
                     const Result<ZygoteInfo>& started);
  void RetireIdle(Client& client);
  void Retire(Client& client, std::unique_ptr<Zygote> zygote);
  void Collect(std::vector<std::string>& errors, int timeout_ms);
  const std::string& parent() const;

  std::string base_;
  const TargetOptions& options_;
  std::vector<std::string> selected_;
  std::unique_ptr<Zygote> session_;
  std::map<std::string, std::unique_ptr<File>> files_;  // by node id
  std::vector<std::unique_ptr<Zygote>> ending_;
  std::vector<std::string> errors_;
  std::vector<std::string> notes_;
  std::uint64_t uses_ = 0;
  int made_ = 0;
  // Callbacks that come when this object is gone do nothing.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace forkserver::harness
