#include "tools/forkserver/completion_command.h"

#include <forkserver/client.h>

#include <string>
#include <string_view>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

constexpr std::string_view kBash = R"(_forkserver() {
  local line word
  COMPREPLY=()
  while IFS= read -r line; do
    word=${line%%$'\t'*}
    [[ $word == "${COMP_WORDS[COMP_CWORD]}"* ]] && COMPREPLY+=("$word")
  done < <("${COMP_WORDS[0]}" complete -- \
    "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _forkserver forkserver)";

constexpr std::string_view kZsh = R"(#compdef forkserver
_forkserver() {
  local -a found
  local line
  for line in "${(@f)$("${words[1]}" complete -- \
      "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( ${#found} )); then
    _describe forkserver found
  else
    _files
  fi
}
compdef _forkserver forkserver)";

constexpr std::string_view kFish = R"(function __forkserver_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] complete -- $words[2..-1] 2>/dev/null
end
complete -c forkserver -a '(__forkserver_complete)')";

void PrintCandidate(const std::string& word, const std::string& description) {
  PrintLine(word + "\t" + description);
}

void PrintNames(const Completion& wanted, const Snapshot& snapshot) {
  if (wanted.services) {
    for (const ServiceInfo& service : snapshot.services) {
      PrintCandidate(service.name, std::string(NameOf(service.state)));
    }
  }
  if (wanted.workers) {
    for (const WorkerInfo& worker : snapshot.workers) {
      PrintCandidate(worker.id, worker.name);
    }
  }
  if (wanted.zygotes) {
    for (const ZygoteInfo& zygote : snapshot.zygotes) {
      PrintCandidate(zygote.name, std::string(NameOf(zygote.state)));
    }
  }
}

}  // namespace

int PrintCompletionScript(const Options& options) {
  const std::string_view script = options.shell == "bash"  ? kBash
                                  : options.shell == "zsh" ? kZsh
                                                           : kFish;
  PrintLine(script);
  return kOk;
}

int PrintCandidates(const Options& options) {
  const Completion& completion = options.completion;
  for (const Completion::Candidate& candidate : completion.candidates) {
    PrintCandidate(candidate.word, candidate.description);
  }
  if (!completion.services && !completion.workers && !completion.zygotes) {
    return kOk;
  }
  // Without a daemon there are no names.
  Result<Client> client = ConnectToRunning(options);
  if (!client) return kOk;
  Result<Snapshot> snapshot = client->List();
  if (snapshot) PrintNames(completion, *snapshot);
  return kOk;
}

}  // namespace forkserver::cli
