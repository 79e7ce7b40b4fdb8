// The variable that every worker has in its environment: its id. Whatever it
// executes carries it, and is found by it (process_tree.h). Passive.
#pragma once

#include <string>
#include <vector>

namespace forkserver {

inline constexpr char kWorkerVariable[] = "FORKSERVER_WORKER";

// `env`: "NAME=value". A client may be a worker itself, whose id is there then.
void ClearWorkerVariable(std::vector<std::string>& env);
// Puts `id` in place of one that is there.
void SetWorkerVariable(const std::string& id, std::vector<std::string>& env);

}  // namespace forkserver
