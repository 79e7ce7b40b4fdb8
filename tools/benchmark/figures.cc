#include "tools/benchmark/figures.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

namespace forkserver::benchmark {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<Role, const char*>, 3> kRoles = {
    {{Role::kForkserverd, "forkserverd"},
     {Role::kLimit, "limit"},
     {Role::kPeer, "peer"}}};

Json JsonOf(const Row& row) {
  Json one;
  one["name"] = row.name;
  one["group"] = row.group;
  for (const auto& [role, name] : kRoles) {
    if (role == row.role) one["role"] = name;
  }
  one["unit"] = row.unit;
  one["samples"] = row.summary.samples;
  one["disturbed"] = row.summary.disturbed;
  one["median"] = row.summary.median;
  one["p99"] = row.summary.p99;
  one["q1"] = row.summary.q1;
  one["q3"] = row.summary.q3;
  one["reference"] = row.reference.empty() ? Json() : Json(row.reference);
  one["ratio"] = row.ratio ? Json(*row.ratio) : Json();
  one["aim"] = Json();
  one["met"] = Json();
  if (row.aim) {
    one["aim"] = {{"kind", row.aim->at_least ? "at_least" : "at_most"},
                  {"value", row.aim->value}};
    one["met"] = row.met();
  }
  return one;
}

// The readers below return false for what cannot be meant. None throws: each
// looks at the kind of a value before it takes it.

bool Read(const Json& object, const char* key, std::string& text) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return false;
  text = found->get<std::string>();
  return true;
}

bool Read(const Json& object, const char* key, double& number) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return false;
  number = found->get<double>();
  return true;
}

bool Read(const Json& object, const char* key, std::size_t& number) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  number = found->get<std::size_t>();
  return true;
}

bool Read(const Json& object, const char* key, Facts& facts) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_object()) return false;
  for (const auto& [name, value] : found->items()) {
    facts.emplace_back(
        name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return true;
}

bool ReadAim(const Json& object, std::optional<Aim>& aim) {
  const auto found = object.find("aim");
  if (found == object.end() || found->is_null()) return true;
  std::string kind;
  aim.emplace();
  if (!found->is_object() || !Read(*found, "kind", kind)) return false;
  aim->at_least = kind == "at_least";
  return Read(*found, "value", aim->value);
}

bool ReadRow(const Json& object, Row& row) {
  if (!object.is_object()) return false;
  Summary& summary = row.summary;
  if (!Read(object, "name", row.name) || !Read(object, "unit", row.unit) ||
      !Read(object, "samples", summary.samples) ||
      !Read(object, "disturbed", summary.disturbed) ||
      !Read(object, "median", summary.median) ||
      !Read(object, "p99", summary.p99) || !Read(object, "q1", summary.q1) ||
      !Read(object, "q3", summary.q3) || !ReadAim(object, row.aim)) {
    return false;
  }
  Read(object, "reference", row.reference);
  double ratio = 0;
  if (Read(object, "ratio", ratio)) row.ratio = ratio;
  std::string name;
  Read(object, "role", name);
  for (const auto& [role, its_name] : kRoles) {
    if (name == its_name) row.role = role;
  }
  if (!Read(object, "group", row.group) ||
      row.name.rfind(row.group + "/", 0) != 0) {
    row.group = row.name.substr(0, row.name.rfind('/'));
  }
  return true;
}

bool HasRow(const Figures& figures, const std::string& name) {
  return std::any_of(figures.rows.begin(), figures.rows.end(),
                     [&](const Row& row) { return row.name == name; });
}

}  // namespace

std::string FactOf(const Facts& facts, const std::string& name) {
  for (const auto& [each, value] : facts) {
    if (each == name) return value;
  }
  return {};
}

Result<void> WriteFigures(const std::string& path, const Figures& figures) {
  Json document;
  for (const auto& [name, value] : figures.machine) {
    document["machine"][name] = value;
  }
  for (const auto& [name, value] : figures.versions) {
    document["versions"][name] = value;
  }
  document["cases"] = Json::array();
  for (const Row& row : figures.rows) document["cases"].push_back(JsonOf(row));
  document["skipped"] = figures.skipped;
  errno = 0;
  std::ofstream file(path);
  file << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (file) return {};
  return SystemError("write(" + path + ")", errno);
}

Result<Figures> ReadFigures(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return SystemError("read(" + path + ")", errno);
  const auto is_none = [&path](const std::string& why) {
    return MakeError(error_code::kSystem,
                     path + " is not what tools/bench --json writes: " + why);
  };
  const Json document =
      Json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return is_none("it is no JSON object");
  Figures figures;
  const auto cases = document.find("cases");
  if (!Read(document, "machine", figures.machine) ||
      !Read(document, "versions", figures.versions) ||
      cases == document.end() || !cases->is_array() || cases->empty()) {
    return is_none("machine, versions and cases must be in it");
  }
  for (const Json& one : *cases) {
    Row row;
    if (!ReadRow(one, row)) {
      return is_none("of case " + std::to_string(figures.rows.size()) + " (" +
                     row.name + ") something is missing or of another kind");
    }
    figures.rows.push_back(std::move(row));
  }
  for (const Row& row : figures.rows) {
    if (row.reference.empty() || HasRow(figures, row.reference)) continue;
    return is_none(row.name + " refers to " + row.reference +
                   ", which is not in it");
  }
  if (const auto skipped = document.find("skipped");
      skipped != document.end() && skipped->is_array()) {
    for (const Json& one : *skipped) {
      if (one.is_string()) figures.skipped.push_back(one.get<std::string>());
    }
  }
  return figures;
}

}  // namespace forkserver::benchmark
