#include "tools/forkserver/service_commands.h"

#include <forkserver/client.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sdk/process/platform.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/daemon_commands.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/request.h"
#include "tools/forkserver/values.h"
#include "tools/forkserver/worker_commands.h"

namespace forkserver::cli {
namespace {

std::string Ago(std::int64_t time_ns) {
  if (time_ns == 0) return {};
  const std::int64_t seconds =
      (MonotonicNanoseconds() - time_ns) / 1'000'000'000;
  if (seconds >= 86'400) {
    return std::to_string(seconds / 86'400) + "d" +
           std::to_string(seconds % 86'400 / 3600) + "h";
  }
  if (seconds >= 3600) {
    return std::to_string(seconds / 3600) + "h" +
           std::to_string(seconds % 3600 / 60) + "m";
  }
  if (seconds >= 60) {
    return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) +
           "s";
  }
  return std::to_string(seconds) + "s";
}

// What a person wants to know first.
std::string Remark(const ServiceInfo& service) {
  if (!service.why.empty()) return service.why;
  if (!service.status.empty()) return service.status;
  if (service.state == ServiceState::kFinished && service.exit) {
    return Describe(*service.exit);
  }
  return {};
}

void PrintServices(const std::vector<ServiceInfo>& services) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "SINCE", "PID", "RESTARTS", "REMARK"}};
  for (const ServiceInfo& service : services) {
    rows.push_back({service.name, std::string(NameOf(service.state)),
                    Ago(service.since_ns),
                    service.pid != 0 ? std::to_string(service.pid) : "",
                    std::to_string(service.restarts), Remark(service)});
  }
  PrintTable(rows);
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

void PrintDetails(const ServiceInfo& service) {
  std::vector<std::vector<std::string>> rows = {
      {"name", service.name},
      {"state",
       std::string(NameOf(service.state)) + " for " + Ago(service.since_ns)},
      {"remark", Remark(service)},
      {"worker", service.worker},
      {"pid", service.pid != 0 ? std::to_string(service.pid) : ""},
      {"command", Join(service.argv)},
      {"zygote", service.zygote},
      {"runs", std::to_string(service.runs)},
      {"restarts", std::to_string(service.restarts)},
      {"restart", std::string(NameOf(service.policy.restart))},
      {"after", Join(service.policy.after)},
      {"ready", std::string(NameOf(service.policy.ready))},
      {"last run", service.exit ? Describe(*service.exit) : ""},
      {"project", service.project},
      {"log", service.log},
  };
  PrintTable(rows);
}

int Report(const Options& options, const Result<ServiceInfo>& service) {
  if (!service) return Fail(service.error());
  if (options.json) {
    PrintLine(ToJson(*service));
  } else {
    PrintServices({*service});
  }
  return kOk;
}

Result<std::vector<ServiceInfo>> ReadServices(Client& client) {
  Result<Snapshot> snapshot = client.List();
  if (!snapshot) return snapshot.error();
  return std::move(snapshot->services);
}

}  // namespace

int StartService(const Options& options) {
  Result<Client> client = ConnectOrStart(options);
  if (!client) return Fail(client.error());
  if (options.words.empty() && options.zygote.empty()) {
    return Report(options,
                  client->StartService(options.service, options.no_wait));
  }
  return Report(options, client->StartService(MakeServiceOptions(options)));
}

int RestartService(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  return Report(options,
                client->RestartService(options.service, options.no_wait));
}

int RemoveService(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto removed =
      client->StopService(options.service, options.stop_grace, /*remove=*/true);
  return removed ? kOk : Fail(removed.error());
}

int ListServices(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto services = ReadServices(*client);
  if (!services) return Fail(services.error());
  if (options.json) {
    PrintLine(ToJson(*services));
  } else {
    PrintServices(*services);
  }
  return kOk;
}

int StopServiceOrWorker(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto service = client->StopService(options.worker_id, options.stop_grace);
  if (!service && service.error().code == error_code::kUnknownService) {
    return StopWorker(options);
  }
  return Report(options, service);
}

int PrintServiceOrStatus(const Options& options) {
  if (options.service.empty()) return PrintStatus(options);
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  auto services = ReadServices(*client);
  if (!services) return Fail(services.error());
  const auto found = std::find_if(services->begin(), services->end(),
                                  [&](const ServiceInfo& service) {
                                    return service.name == options.service;
                                  });
  if (found == services->end()) {
    return Fail(MakeError(error_code::kUnknownService,
                          "there is no service '" + options.service + "'",
                          "see `forkserver services`"));
  }
  if (options.json) {
    PrintLine(ToJson(*found));
  } else {
    PrintDetails(*found);
  }
  return kOk;
}

}  // namespace forkserver::cli
