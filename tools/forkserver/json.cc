#include "tools/forkserver/json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>
#include <type_traits>

namespace forkserver::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T>
Json JsonOf(const T& value);

// Optional on the wire or not: a reader of JSON finds the same keys always.
struct JsonVisitor {
  Json object = Json::object();
  template <typename T>
  void Required(const char* key, const T& value) {
    object[key] = JsonOf(value);
  }
  template <typename T>
  void Optional(const char* key, const T& value) {
    Required(key, value);
  }
  template <typename T>
  void Defaulted(const char* key, const T& value, const T&) {
    Required(key, value);
  }
};

template <typename T>
Json JsonOf(const T& value) {
  if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (std::is_enum_v<T>) {
    return std::string(NameOf(value));
  } else if constexpr (IsOptional<T>::value) {
    return value ? JsonOf(*value) : Json(nullptr);
  } else if constexpr (IsVector<T>::value) {
    Json array = Json::array();
    for (const auto& element : value) array.push_back(JsonOf(element));
    return array;
  } else {
    JsonVisitor visit;
    T::Visit(value, visit);
    return visit.object;
  }
}

template <typename T>
void ReadJson(const Json& json, T& value);

struct JsonReader {
  const Json& object;
  template <typename T>
  void Required(const char* key, T& value) {
    ReadJson(object.at(key), value);
  }
};

template <typename T>
void ReadJson(const Json& json, T& value) {
  if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    value = json.get<T>();
  } else if constexpr (std::is_same_v<T, AuditVerdict>) {
    for (const AuditVerdict each :
         {AuditVerdict::kSafe, AuditVerdict::kUnsafe, AuditVerdict::kUnknown}) {
      if (json.get<std::string>() == NameOf(each)) value = each;
    }
  } else if constexpr (IsVector<T>::value) {
    for (const Json& element : json) ReadJson(element, value.emplace_back());
  } else {
    JsonReader read{json};
    T::Visit(value, read);
  }
}

template <typename T>
std::string Dump(const T& value, int indent) {
  return JsonOf(value).dump(indent, ' ', false, Json::error_handler_t::replace);
}

constexpr int kIndent = 2;
constexpr int kOneLine = -1;

}  // namespace

std::string ToJson(const std::vector<WorkerInfo>& workers) {
  return Dump(workers, kIndent);
}
std::string ToJson(const std::vector<MeasuredWorker>& workers) {
  return Dump(workers, kIndent);
}
std::string ToJson(const std::vector<ZygoteInfo>& zygotes) {
  return Dump(zygotes, kIndent);
}
std::string ToJson(const std::vector<TopRow>& rows) {
  return Dump(rows, kIndent);
}
std::string ToJson(const ZygoteInfo& zygote) { return Dump(zygote, kIndent); }
std::string ToJson(const std::vector<ServiceInfo>& services) {
  return Dump(services, kIndent);
}
std::string ToJson(const ServiceInfo& service) {
  return Dump(service, kIndent);
}
std::string ToJson(const std::vector<project::Outcome>& outcomes) {
  return Dump(outcomes, kIndent);
}
std::string ToJson(const std::vector<project::Problem>& problems) {
  return Dump(problems, kIndent);
}
std::string ToJson(const ExitRecord& record) { return Dump(record, kIndent); }
std::string ToJson(const Explanation& explanation) {
  return Dump(explanation, kIndent);
}
std::string ToJson(const DaemonStatus& status) { return Dump(status, kIndent); }
std::string ToJson(const DaemonUpgrade& upgrade) {
  return Dump(upgrade, kIndent);
}
std::string ToJson(const Audit& audit) { return Dump(audit, kIndent); }
std::string ToJson(const SessionReport& report) {
  return Dump(report, kIndent);
}
std::string ToJson(const CommandReport& report) {
  return Dump(report, kIndent);
}
std::string ToJson(const ForkReport& report) { return Dump(report, kOneLine); }
std::string ToJson(const Event& event) { return Dump(event, kOneLine); }

std::string ToJson(const LogLine& line) {
  const Json object = {{"time", FormatLogTime(line.time_us)},
                       {"stream", std::string(NameOf(line.stream))},
                       {"continued", line.continued},
                       {"text", line.text}};
  return object.dump(kOneLine, ' ', false, Json::error_handler_t::replace);
}

std::vector<ForkReport> ParseForkReports(const std::string& lines) {
  std::vector<ForkReport> reports;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    ForkReport report;
    try {
      ReadJson(Json::parse(line), report);
    } catch (const Json::exception&) {
      continue;
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace forkserver::cli
