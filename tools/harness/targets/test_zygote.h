// The zygote of a warm test program: started for this run, or kept from an
// earlier one. Blocks.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <string>
#include <vector>

#include "tools/harness/targets/fingerprint.h"
#include "tools/harness/targets/target.h"
#include "tools/harness/targets/zygote_record.h"

namespace forkserver::harness {

class TestZygote {
 public:
  // `path` is absolute. `options` is borrowed.
  TestZygote(std::string path, const TargetOptions& options);

  // One that is ready. `why`: what was found out about a kept one.
  Result<void> Start(Client& client, std::vector<std::string>& why);
  // Another one, for this run alone: the other is not to be used any more.
  Result<void> StartAnother(Client& client);

  const std::string& name() const { return name_; }
  // The program and the libraries that it has loaded; those that were replaced
  // meanwhile are left out.
  const std::vector<std::string>& files() const { return files_; }

 private:
  ZygoteOptions Options() const;
  Result<void> StartForThisRun(Client& client);
  Result<void> StartKept(Client& client, std::vector<std::string>& why);
  // Why the kept one cannot be used; empty: it can. `last`: of the last run,
  // with other options, if there is no `record`.
  std::vector<std::string> FindReasons(const ZygoteInfo* kept,
                                       const ZygoteRecord* record,
                                       const ZygoteRecord* last,
                                       const Fingerprint& now) const;
  Result<Fingerprint> Take(Client& client, const ZygoteRecord* record) const;
  Result<void> Record(const ZygoteInfo& zygote, const Fingerprint& fingerprint);

  std::string path_;
  const TargetOptions& options_;
  std::string name_;
  std::string record_path_;  // of a kept one
  std::string last_path_;    // of the last run's, whatever its options
  std::vector<std::string> files_;
};

}  // namespace forkserver::harness
