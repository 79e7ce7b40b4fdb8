#include "sdk/process/worker_variable.h"

namespace forkserver {

void ClearWorkerVariable(std::vector<std::string>& env) {
  const std::string prefix = std::string(kWorkerVariable) + "=";
  std::erase_if(env, [&](const std::string& variable) {
    return variable.compare(0, prefix.size(), prefix) == 0;
  });
}

void SetWorkerVariable(const std::string& id, std::vector<std::string>& env) {
  ClearWorkerVariable(env);
  env.push_back(std::string(kWorkerVariable) + "=" + id);
}

}  // namespace forkserver
