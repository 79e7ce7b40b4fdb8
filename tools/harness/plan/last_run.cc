#include "tools/harness/plan/last_run.h"

#include <algorithm>

#include "sdk/base/text_file.h"

namespace forkserver::harness {

Result<LastRun> LastRun::Read(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (!text) return text.error();
  LastRun last;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\0', at), text->size());
    if (end > at) last.failed_.insert(text->substr(at, end - at));
    at = end + 1;
  }
  return last;
}

Result<void> LastRun::Write(const std::string& path) const {
  std::string text;
  for (const std::string& id : failed_) text += id + '\0';
  return ReplaceFile(path, text);
}

void LastRun::Note(const std::string& id, bool failed) {
  if (failed) {
    failed_.insert(id);
  } else {
    failed_.erase(id);
  }
}

}  // namespace forkserver::harness
