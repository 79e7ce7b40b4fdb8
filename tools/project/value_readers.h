// Readers of the values of a project file: each stores what it reads, or adds
// a problem.
#pragma once

#include <forkserver/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/project/problem.h"
#include "tools/toml/toml_file.h"

namespace forkserver::project {

// `key` is the whole one, "services.web.restart".
using Read = std::function<void(const TomlValue& value, const std::string& key,
                                Problems& problems)>;
struct KnownKey {
  std::string name;
  Read read;
};

// Reads each entry by the known key of its name; others are problems.
// `prefix` is "" or ends in a dot.
void ReadTable(const TomlValue& table, const std::string& prefix,
               const std::vector<KnownKey>& known, Problems& problems);
// False, with a problem, if it is no table.
bool ExpectTable(const TomlValue& value, const std::string& key,
                 Problems& problems);

// Each borrows its target.
Read Text(std::string& target);  // not empty
Read Text(std::optional<std::string>& target);
Read AnyText(std::string& target);
Read Texts(std::vector<std::string>& target);  // one text is a list of one
Read Flag(bool& target);
Read Number(std::int64_t& target, std::int64_t from, std::int64_t to);
Read Number(std::optional<int>& target, int from, int to);
Read Cpus(std::vector<int>& target);
Read DiskPriority(std::optional<IoPriority>& target);
// "30s", 30, in milliseconds.
Read Duration(std::int64_t& target_ms);
Read Duration(std::chrono::milliseconds& target);
Read Size(std::int64_t& target_bytes);
Read CpuShare(std::int64_t& target_percent);
Read Signal(std::int64_t& target);
Read Umask(std::optional<int>& target);
Read Limits(ResourceLimits& target);  // a table
Read ExitCodes(std::vector<std::int64_t>& target);
Read Spares(int& least, int& most);
Read Restart(RestartPolicy& target);
Read Audited(AuditPolicy& target);
Read Ready(ServicePolicy& target);
// A table of texts, "NAME=value".
Read Variables(std::vector<std::string>& target);
// A list is a program and its arguments, a text is for the shell.
Read Command(std::vector<std::string>& target);

}  // namespace forkserver::project
