#include "tools/harness/report/trace.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/harness/report/event_json.h"
#include "tools/harness/report/summary_format.h"

namespace forkserver::harness {
namespace {

constexpr char kBegin[] = "[\n";
constexpr char kEnd[] = "\n]\n";
// The lane of what a target does before its tests.
constexpr int kPrepareLane = 0;

// Traces count in microseconds.
std::string Us(std::int64_t ns) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%03lld",
                static_cast<long long>(ns / 1000),
                static_cast<long long>(ns % 1000));
  return text;
}

std::string Place(int process, int lane) {
  return ",\"pid\":" + std::to_string(process) +
         ",\"tid\":" + std::to_string(lane);
}

// Names of chrome://tracing's palette.
const char* ColorOf(Verdict verdict) {
  if (verdict == Verdict::kPass) return "good";
  if (verdict == Verdict::kSkip) return "grey";
  return verdict == Verdict::kFlaky ? "bad" : "terrible";
}

std::string Arguments(const TestCase& test, const Attempt& attempt) {
  std::string text = "\"test\":" + JsonString(test.id) +
                     ",\"attempt\":" + std::to_string(attempt.number) +
                     ",\"verdict\":" + JsonString(NameOf(attempt.verdict)) +
                     ",\"wall_us\":" + std::to_string(attempt.wall_us);
  const std::string reason = ShortReason(attempt);
  if (!reason.empty()) text += ",\"reason\":" + JsonString(reason);
  if (attempt.exit) {
    text +=
        ",\"worker\":" + JsonString(attempt.exit->id) +
        ",\"pid\":" + std::to_string(attempt.exit->pid) +
        ",\"max_rss_bytes\":" + std::to_string(attempt.exit->max_rss_bytes) +
        ",\"user_us\":" + std::to_string(attempt.exit->user_us) +
        ",\"system_us\":" + std::to_string(attempt.exit->system_us);
    if (!attempt.exit->zygote.empty()) {
      text += ",\"zygote\":" + JsonString(attempt.exit->zygote);
    }
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<TraceReporter>> TraceReporter::Create(
    const std::string& path) {
  Result<ReportFile> file =
      ReportFile::Create("--trace", path, std::string(kBegin) + kEnd);
  if (!file) return std::move(file).error();
  if (!file->seekable() && !file->Append(kBegin)) return *file->error();
  return std::unique_ptr<TraceReporter>(new TraceReporter(std::move(*file)));
}

TraceReporter::TraceReporter(ReportFile file)
    : file_(std::move(file)), end_at_(sizeof kBegin - 1) {}

void TraceReporter::Write(std::string events) {
  if (events.empty()) return;
  events.resize(events.size() - 2);  // the last comma
  if (!empty_) events.insert(0, ",\n");
  empty_ = false;
  if (!file_.seekable()) {
    file_.Append(events);
    return;
  }
  if (file_.WriteAt(end_at_, events + kEnd)) {
    end_at_ += events.size();
  } else {
    file_.CutBack(end_at_, kEnd);
  }
}

int TraceReporter::ProcessOf(const std::string& label, std::string& events) {
  const auto [found, made] =
      processes_.try_emplace(label, static_cast<int>(processes_.size()) + 1);
  if (made) {
    events += "{\"ph\":\"M\",\"name\":\"process_name\"" +
              Place(found->second, kPrepareLane) +
              ",\"args\":{\"name\":" + JsonString(label) + "}},\n";
  }
  return found->second;
}

int TraceReporter::LaneOf(int process, int slot, std::string& events) {
  const int lane = slot + 1;
  if (lanes_.emplace(process, lane).second) {
    events += "{\"ph\":\"M\",\"name\":\"thread_name\"" + Place(process, lane) +
              ",\"args\":{\"name\":\"slot " + std::to_string(slot) + "\"}},\n";
  }
  return lane;
}

void TraceReporter::AddSlice(std::string& events, const std::string& name,
                             int process, int lane, std::int64_t begun_ns,
                             std::int64_t ended_ns,
                             const std::string& arguments, const char* color) {
  if (begun_ns <= 0 || ended_ns < begun_ns) return;
  events += "{\"ph\":\"X\",\"name\":" + JsonString(name) +
            Place(process, lane) + ",\"ts\":" + Us(begun_ns) +
            ",\"dur\":" + Us(ended_ns - begun_ns);
  if (color != nullptr) events += ",\"cname\":\"" + std::string(color) + "\"";
  if (!arguments.empty()) events += ",\"args\":{" + arguments + "}";
  events += "},\n";
}

void TraceReporter::OnTargetReady(const TargetReady& target) {
  std::string events;
  const int process = ProcessOf(target.label, events);
  if (lanes_.emplace(process, kPrepareLane).second) {
    events += "{\"ph\":\"M\",\"name\":\"thread_name\"" +
              Place(process, kPrepareLane) +
              ",\"args\":{\"name\":\"target\"}},\n";
  }
  AddSlice(events, target.warm ? "start zygote, list tests" : "list tests",
           process, kPrepareLane, target.begun_ns, target.ended_ns,
           "\"framework\":" + JsonString(target.framework) +
               ",\"tests\":" + std::to_string(target.tests));
  Write(std::move(events));
}

void TraceReporter::OnAttemptSlow(const RunningTest& running) {
  const TestCase& test = plan_->tests[running.test];
  std::string events;
  const int process = ProcessOf(test.target, events);
  const int lane = LaneOf(process, running.slot, events);
  events +=
      "{\"ph\":\"i\",\"s\":\"t\",\"name\":\"slow\"" + Place(process, lane) +
      ",\"ts\":" + Us(running.begun_ns + running.elapsed_us * 1000) + "},\n";
  Write(std::move(events));
}

void TraceReporter::OnAttemptEnded(std::size_t test, const Attempt& attempt,
                                   bool) {
  const TestCase& tested = plan_->tests[test];
  std::string events;
  const int process = ProcessOf(tested.target, events);
  const int lane = LaneOf(process, attempt.slot, events);
  AddSlice(events, tested.name(), process, lane, attempt.begun_ns,
           attempt.ended_ns, Arguments(tested, attempt),
           ColorOf(attempt.verdict));
  if (attempt.exit) {
    // The steps lie within the attempt, whatever clocks say.
    const auto within = [&](std::int64_t ns) {
      return ns <= 0 ? 0 : std::clamp(ns, attempt.begun_ns, attempt.ended_ns);
    };
    const Journey& journey = attempt.exit->journey;
    const bool forked = attempt.exit->kind != WorkerKind::kExec;
    const std::pair<const char*, std::int64_t> steps[] = {
        {"request", within(journey.received_ns)},
        {"wait", within(journey.launch_begun_ns)},
        {forked ? "zygote forks" : "fork and exec",
         within(journey.launched_ns)},
        {"set up", within(journey.started_ns)},
        {"test", within(journey.ended_ns)},
        {"collect", attempt.ended_ns}};
    std::int64_t begun_ns = attempt.begun_ns;
    for (const auto& [name, ended_ns] : steps) {
      AddSlice(events, name, process, lane, begun_ns, ended_ns);
      begun_ns = ended_ns > 0 ? ended_ns : begun_ns;
    }
  }
  Write(std::move(events));
}

Result<void> TraceReporter::OnRunEnded(const RunSummary&) {
  if (!file_.seekable()) file_.Append(kEnd);
  if (file_.error()) return *file_.error();
  return {};
}

}  // namespace forkserver::harness
