// The zygote of a Python target: started for this run, or kept from an earlier
// one if nothing has changed of what its tests were loaded from. Blocks.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>

#include <optional>
#include <string>
#include <vector>

#include "sdk/protocol/test_messages.h"
#include "tools/harness/targets/fingerprint.h"
#include "tools/harness/targets/target.h"
#include "tools/harness/targets/zygote_record.h"

namespace forkserver::harness {

class PythonZygote {
 public:
  // `options` is borrowed.
  PythonZygote(std::string target, const TargetOptions& options);

  // One that is ready. `why`: what was found out about a kept one.
  Result<void> Start(Client& client, std::vector<std::string>& why);
  // Another one, for this run alone: the other is not to be used any more.
  Result<void> StartAnother(Client& client);

  const std::string& name() const { return name_; }
  // Without streams; the caller adds arguments.
  ForkOptions Fork(const std::string& entry) const;
  // The result of an entry, which must exit with 0.
  Result<std::string> Call(Client& client, const std::string& entry,
                           const std::string& args = {});

 private:
  ZygoteOptions Options() const;
  Result<void> StartForThisRun(Client& client);
  Result<void> StartKept(Client& client, std::vector<std::string>& why);
  // Why the kept one cannot be used; empty: it can.
  std::vector<std::string> FindReasons(Client& client);
  // The same if there is none for these options: what the last run had.
  std::vector<std::string> FindOtherOptions() const;
  // What is remembered for the next run. A kept zygote that cannot be
  // remembered is of no use to it, and does no harm.
  Result<void> Record(Client& client, const std::string& zygote_id);
  Result<Fingerprint> TakeOptions() const;

  std::string target_;
  const TargetOptions& options_;
  std::string name_;
  std::string record_path_;  // of a kept one
  std::string last_path_;    // of the last run's, whatever its options
};

}  // namespace forkserver::harness
