#include "tools/forkserver/audit_report.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/symbols.h"

namespace forkserver::cli {
namespace {

constexpr std::size_t kColumns = 79;

// Breaks `text` at spaces; every line after the first begins with `hanging`.
std::string Wrap(const std::string& first, const std::string& hanging,
                 const std::string& text) {
  std::string wrapped, line = first;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    const bool fresh = line == first || line == hanging;
    if (!fresh && line.size() + 1 + word.size() > kColumns) {
      wrapped += line + "\n";
      line = hanging + word;
    } else {
      line += (fresh ? "" : " ") + word;
    }
    at = end + 1;
  }
  return wrapped + line + "\n";
}

void NameStarter(Symbols& symbols, AuditFinding& finding) {
  constexpr std::string_view kStart = "started by ";
  const std::size_t plus = finding.where.find("+0x");
  if (finding.where.compare(0, kStart.size(), kStart) != 0 ||
      plus == std::string::npos) {
    return;
  }
  const NamedFrame frame = symbols.Name(
      {finding.where.substr(kStart.size(), plus - kStart.size()),
       std::strtoll(finding.where.c_str() + plus + 1, nullptr, 16)});
  if (frame.function.empty()) return;
  const std::size_t end = finding.where.find(';', plus);
  finding.where.insert(std::min(end, finding.where.size()),
                       ", " + frame.function);
}

std::string Lines(const AuditFinding& finding, const std::string& indent) {
  const std::string inner = indent + "    ";
  std::string text = Wrap(indent + "- ", inner, finding.what);
  const auto add = [&](const char* label, const std::string& value) {
    if (value.empty()) return;
    std::string first = inner + label;
    first.resize(inner.size() + 8, ' ');
    text += Wrap(first, inner + std::string(8, ' '), value);
  };
  add("where", finding.where);
  add("step", finding.step);
  add("why", finding.why);
  add("do", finding.advice);
  if (!finding.known_as.empty()) {
    add("see", "docs/fork_safety.md#" + finding.known_as);
  }
  return text;
}

}  // namespace

int ExitCodeOf(AuditVerdict verdict) {
  switch (verdict) {
    case AuditVerdict::kSafe:
      return kOk;
    case AuditVerdict::kUnsafe:
      return kUnsafe;
    case AuditVerdict::kUnknown:
      return kUnknown;
  }
  return kUnknown;
}

void NameStarters(Audit& audit) {
  Symbols symbols;
  for (AuditFinding& reason : audit.reasons) NameStarter(symbols, reason);
  for (AuditFinding& note : audit.notes) NameStarter(symbols, note);
}

std::string Report(const std::string& subject, const Audit& audit,
                   const std::string& indent) {
  std::string text = indent + subject;
  switch (audit.verdict) {
    case AuditVerdict::kSafe:
      text += " is safe to fork\n";
      break;
    case AuditVerdict::kUnsafe:
      text += " is unsafe to fork: " + std::to_string(audit.reasons.size()) +
              (audit.reasons.size() == 1 ? " reason\n" : " reasons\n");
      break;
    case AuditVerdict::kUnknown:
      text += ": nobody can say whether it is safe to fork\n";
      break;
  }
  for (const AuditFinding& reason : audit.reasons) {
    text += Lines(reason, indent + "  ");
  }
  if (!audit.unreadable.empty()) {
    text += indent + "  It cannot be known:\n";
    for (const std::string& what : audit.unreadable) {
      text += Wrap(indent + "  - ", indent + "    ", what);
    }
  }
  if (!audit.notes.empty()) {
    text += indent + "  Harmless by itself, and worth knowing:\n";
    for (const AuditFinding& note : audit.notes) {
      text += Lines(note, indent + "  ");
    }
  }
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace forkserver::cli
