#include "tools/forkserver/zygote_commands.h"

#include <forkserver/client.h>

#include <string>
#include <vector>

#include "tools/forkserver/audit_report.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/request.h"

namespace forkserver::cli {
namespace {

void PrintZygotes(const std::vector<ZygoteInfo>& zygotes) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "PID", "STATE",
                                                 "AUDIT", "PARENT", "WORKERS",
                                                 "FORKS", "ENTRIES"}};
  for (const ZygoteInfo& zygote : zygotes) {
    std::string entries;
    for (const std::string& entry : zygote.entries) {
      entries += (entries.empty() ? "" : ",") + entry;
    }
    rows.push_back({zygote.name, std::to_string(zygote.pid),
                    std::string(NameOf(zygote.state)),
                    zygote.audit ? std::string(NameOf(zygote.audit->verdict))
                                 : std::string(),
                    zygote.parent, std::to_string(zygote.workers),
                    std::to_string(zygote.forks), entries});
  }
  PrintTable(rows);
}

}  // namespace

int StartZygote(const Options& options) {
  Result<Client> client = ConnectOrStart(options);
  if (!client) return Fail(client.error());
  Result<ZygoteInfo> zygote = client->StartZygote(MakeZygoteOptions(options));
  if (!zygote) return Fail(zygote.error());
  if (zygote->audit && zygote->audit->verdict != AuditVerdict::kSafe &&
      zygote->audit_policy == AuditPolicy::kWarn) {
    PrintWarning(Report("zygote '" + zygote->name + "'", *zygote->audit));
  }
  if (options.json) {
    PrintLine(ToJson(*zygote));
  } else {
    PrintZygotes({*zygote});
  }
  return kOk;
}

int ListZygotes(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<Snapshot> snapshot = client->List();
  if (!snapshot) return Fail(snapshot.error());
  if (options.json) {
    PrintLine(ToJson(snapshot->zygotes));
  } else {
    PrintZygotes(snapshot->zygotes);
    for (const ZygoteInfo& zygote : snapshot->zygotes) {
      if (zygote.quarantine.empty()) continue;
      PrintLine(zygote.name + " is quarantined: " + zygote.quarantine);
    }
  }
  return kOk;
}

int StopZygote(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto stopped = client->StopZygote(options.zygote);
  return stopped ? kOk : Fail(stopped.error());
}

}  // namespace forkserver::cli
