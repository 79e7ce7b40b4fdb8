#include "tools/forkserver/worker_commands.h"

#include <forkserver/client.h>

#include <string>
#include <vector>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/worker_outcome.h"

namespace forkserver::cli {

namespace {

std::vector<MeasuredWorker> Measure(const std::vector<WorkerInfo>& workers) {
  std::vector<MeasuredWorker> measured;
  measured.reserve(workers.size());
  for (const WorkerInfo& worker : workers) {
    measured.push_back({worker, ReadMemoryUse(static_cast<pid_t>(worker.pid))});
  }
  return measured;
}

void AddMemory(const std::vector<MeasuredWorker>& measured,
               std::vector<std::vector<std::string>>& rows) {
  const auto kilobytes = [](std::int64_t bytes) {
    return std::to_string(bytes / 1024) + "K";
  };
  for (const char* heading : {"PSS", "SHARED", "PRIVATE"}) {
    rows.front().emplace_back(heading);
  }
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const auto& memory = measured[i].memory;
    for (const auto member : {&MemoryUse::pss_bytes, &MemoryUse::shared_bytes,
                              &MemoryUse::private_bytes}) {
      rows[i + 1].push_back(memory ? kilobytes(*memory.*member) : "");
    }
  }
}

}  // namespace

int ListWorkers(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<Snapshot> snapshot = client->List();
  if (!snapshot) return Fail(snapshot.error());
  std::vector<MeasuredWorker> measured;
  if (options.memory) measured = Measure(snapshot->workers);
  if (options.json) {
    PrintLine(options.memory ? ToJson(measured) : ToJson(snapshot->workers));
    return kOk;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ID", "NAME", "PID", "KIND", "ZYGOTE", "STATE"}};
  for (const WorkerInfo& worker : snapshot->workers) {
    rows.push_back({worker.id, worker.name, std::to_string(worker.pid),
                    std::string(NameOf(worker.kind)), worker.zygote,
                    std::string(NameOf(worker.state))});
  }
  if (options.memory) AddMemory(measured, rows);
  PrintTable(rows);
  return kOk;
}

int WaitForWorker(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto record = client->Wait(options.worker_id, options.wait_timeout);
  if (!record) return Fail(record.error());
  if (options.json) PrintLine(ToJson(*record));
  return ReportEnd(*record);
}

int SignalWorker(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto sent = client->Signal(options.worker_id, options.signal, options.group);
  return sent ? kOk : Fail(sent.error());
}

int StopWorker(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto record = client->Stop(options.worker_id, options.stop_grace);
  if (!record) return Fail(record.error());
  PrintLine(options.json ? ToJson(*record) : Describe(*record));
  return kOk;
}

}  // namespace forkserver::cli
