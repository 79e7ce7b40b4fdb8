#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kSkip:
      return "skip";
    case Verdict::kCrash:
      return "crash";
    case Verdict::kTimeout:
      return "timeout";
    case Verdict::kLeak:
      return "leak";
    case Verdict::kFlaky:
      return "flaky";
    case Verdict::kInfrastructure:
      return "infrastructure";
  }
  return "infrastructure";
}

std::string CapturedText::ToString() const {
  if (dropped_bytes == 0) return head + tail;
  std::string text = head;
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += "[... " + std::to_string(dropped_bytes) + " bytes left out ...]\n";
  return text + tail;
}

}  // namespace forkserver::harness
