#include "tools/forkserver/metrics_command.h"

#include <forkserver/client.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/memory_use.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

// Of OpenMetrics 1.0: backslash, quote and newline are escaped.
std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == '\\' || letter == '"') escaped += '\\';
    escaped += letter == '\n' ? "\\n" : std::string(1, letter);
  }
  return escaped;
}

class MetricsText {
 public:
  // All samples of a family follow its beginning.
  void Begin(const char* name, const char* type, const char* help) {
    name_ = name;
    suffix_ = std::string_view(type) == "counter" ? "_total" : "";
    if (std::string_view(type) == "info") suffix_ = "_info";
    text_ += "# TYPE " + name_ + " " + type + "\n";
    const auto unit = name_.rfind('_') + 1;
    if (name_.substr(unit) == "seconds" || name_.substr(unit) == "bytes") {
      text_ += "# UNIT " + name_ + " " + name_.substr(unit) + "\n";
    }
    text_ += "# HELP " + name_ + " " + help + "\n";
  }
  void Add(const std::string& value, const Labels& labels = {}) {
    text_ += name_ + suffix_;
    const char* separator = "{";
    for (const auto& [label, label_value] : labels) {
      text_ +=
          separator + std::string(label) + "=\"" + Escape(label_value) + "\"";
      separator = ",";
    }
    text_ += labels.empty() ? " " : "} ";
    text_ += value + "\n";
  }
  void Add(std::int64_t value, const Labels& labels = {}) {
    Add(std::to_string(value), labels);
  }
  std::string Finish() { return text_ + "# EOF\n"; }

 private:
  std::string text_;
  std::string name_;
  std::string suffix_;
};

std::string Seconds(std::int64_t ms) {
  std::string fraction = std::to_string(ms % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(ms / 1000) + "." + fraction;
}

void AddDaemon(const DaemonStatus& status, MetricsText& text) {
  text.Begin("forkserver_daemon", "info", "The daemon that was asked.");
  text.Add(1, {{"version", status.version}, {"instance", status.instance}});
  text.Begin("forkserver_uptime_seconds", "gauge", "Since the daemon began.");
  text.Add(Seconds(status.uptime_ms));
  const struct {
    const char* name;
    const char* type;
    const char* help;
    std::int64_t value;
  } numbers[] = {
      {"forkserver_clients", "gauge", "Connections.", status.clients},
      {"forkserver_workers", "gauge", "Live workers.", status.workers},
      {"forkserver_zygotes", "gauge", "Zygotes.", status.zygotes},
      {"forkserver_workers_launched", "counter",
       "Workers since the daemon began.", status.launched},
      {"forkserver_upgrades", "counter",
       "How often the daemon was replaced in place.", status.upgrades},
      {"forkserver_exit_records", "gauge", "Exit records that are kept.",
       status.records_kept},
      {"forkserver_open_fds", "gauge", "Descriptors of the daemon.",
       status.open_fds},
  };
  for (const auto& number : numbers) {
    text.Begin(number.name, number.type, number.help);
    text.Add(number.value);
  }
}

void AddZygotes(const std::vector<ZygoteInfo>& zygotes, MetricsText& text) {
  text.Begin("forkserver_zygote_workers", "gauge", "Its live workers.");
  for (const ZygoteInfo& zygote : zygotes) {
    text.Add(zygote.workers, {{"zygote", zygote.name}});
  }
  text.Begin("forkserver_zygote_forks", "counter", "Workers it has forked.");
  for (const ZygoteInfo& zygote : zygotes) {
    text.Add(zygote.forks, {{"zygote", zygote.name}});
  }
}

void AddServices(const std::vector<ServiceInfo>& services, MemoryOf memory,
                 MetricsText& text) {
  text.Begin("forkserver_service_ready", "gauge", "1 while it is ready.");
  for (const ServiceInfo& service : services) {
    text.Add(service.state == ServiceState::kRunning ? 1 : 0,
             {{"service", service.name}});
  }
  text.Begin("forkserver_service_state", "info", "The state that it is in.");
  for (const ServiceInfo& service : services) {
    text.Add(1, {{"service", service.name},
                 {"state", std::string(NameOf(service.state))}});
  }
  text.Begin("forkserver_service_runs", "counter", "Its runs.");
  for (const ServiceInfo& service : services) {
    text.Add(service.runs, {{"service", service.name}});
  }
  text.Begin("forkserver_service_restarts", "counter",
             "Its runs that nobody asked for.");
  for (const ServiceInfo& service : services) {
    text.Add(service.restarts, {{"service", service.name}});
  }
  text.Begin("forkserver_service_memory_bytes", "gauge",
             "PSS of the first process of its run.");
  for (const ServiceInfo& service : services) {
    if (service.pid == 0) continue;
    if (const auto bytes = memory(service.pid)) {
      text.Add(*bytes, {{"service", service.name}});
    }
  }
}

std::optional<std::int64_t> ReadPss(std::int64_t pid) {
  const auto use = ReadMemoryUse(static_cast<pid_t>(pid));
  if (!use || use->pss_bytes == 0) return std::nullopt;
  return use->pss_bytes;
}

}  // namespace

std::string FormatMetrics(const DaemonStatus& status, const Snapshot& snapshot,
                          MemoryOf memory) {
  MetricsText text;
  AddDaemon(status, text);
  AddZygotes(snapshot.zygotes, text);
  AddServices(snapshot.services, memory, text);
  return text.Finish();
}

int PrintMetrics(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  Result<Snapshot> snapshot = client->List();
  if (!snapshot) return Fail(snapshot.error());
  std::string text = FormatMetrics(*status, *snapshot, &ReadPss);
  text.pop_back();  // PrintLine ends it
  PrintLine(text);
  return kOk;
}

}  // namespace forkserver::cli
