#include "tools/harness/report/event_json.h"

#include <nlohmann/json.hpp>

namespace forkserver::harness {
namespace {

using Json = nlohmann::ordered_json;

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Event(std::string_view name) { return Json{{"event", std::string(name)}}; }

// 0 stands for unknown in the model.
Json NumberOrNull(std::int64_t number) {
  return number == 0 ? Json(nullptr) : Json(number);
}

// Every value has all of its keys, in the order of its Visit.
struct Visitor {
  Json object = Json::object();
  template <typename T>
  void Required(const char* key, const T& value) {
    object[key] = Of(value);
  }
  template <typename T>
  void Optional(const char* key, const T& value) {
    object[key] = Of(value);
  }

  template <typename T>
  static Json Of(const T& value) {
    if constexpr (requires(Visitor & visit) { T::Visit(value, visit); }) {
      Visitor visit;
      T::Visit(value, visit);
      return visit.object;
    } else if constexpr (std::is_enum_v<T>) {
      return std::string(NameOf(value));
    } else {
      return value;
    }
  }
  template <typename T>
  static Json Of(const std::optional<T>& value) {
    return value ? Of(*value) : Json(nullptr);
  }
  template <typename T>
  static Json Of(const std::vector<T>& values) {
    Json array = Json::array();
    for (const T& value : values) array.push_back(Of(value));
    return array;
  }
};

Json CapturedJson(const CapturedText& text) {
  return Json{{"head", text.head},
              {"dropped_bytes", text.dropped_bytes},
              {"tail", text.tail}};
}

Json TestJson(const TestCase& test, std::int64_t last_wall_us) {
  return Json{{"id", test.id},
              {"target", test.target},
              {"name", test.name()},
              {"suite", test.listed.suite},
              {"file", test.listed.file},
              {"line", NumberOrNull(test.listed.line)},
              {"tags", test.listed.tags},
              {"last_wall_us", NumberOrNull(last_wall_us)}};
}

Json JsonOf(const Attempt& attempt) {
  return Json{{"attempt", attempt.number},
              {"verdict", std::string(NameOf(attempt.verdict))},
              {"reason", attempt.reason},
              {"slot", attempt.slot},
              {"begun_ns", attempt.begun_ns},
              {"ended_ns", attempt.ended_ns},
              {"wall_us", attempt.wall_us},
              {"skip_reason", attempt.skip_reason},
              {"failures", Visitor::Of(attempt.failures)},
              {"leaked", attempt.leaked},
              {"backtrace", attempt.backtrace},
              {"stdout", CapturedJson(attempt.out)},
              {"stderr", CapturedJson(attempt.err)},
              {"exit", Visitor::Of(attempt.exit)}};
}

void AppendTo(Json& json, const Json& more) {
  for (const auto& [key, value] : more.items()) json[key] = value;
}

}  // namespace

std::string TargetReadyJson(const TargetReady& target) {
  Json json = Event("target_ready");
  json["target"] = target.label;
  json["framework"] = target.framework;
  json["warm"] = target.warm;
  json["tests"] = target.tests;
  json["begun_ns"] = target.begun_ns;
  json["ended_ns"] = target.ended_ns;
  json["why"] = target.why;
  json["errors"] = target.errors;
  return Line(json);
}

std::string RunBeganJson(const RunPlan& plan) {
  Json json = Event("run_began");
  json["run"] = plan.run_id;
  json["begun_unix_ms"] = plan.begun_unix_ms;
  json["slots"] = plan.slots;
  json["seed"] = NumberOrNull(plan.seed);
  json["repeat"] = plan.repeat;
  json["notes"] = plan.notes;
  Json tests = Json::array();
  for (std::size_t i = 0; i < plan.tests.size(); ++i) {
    tests.push_back(TestJson(plan.tests[i], i < plan.last_wall_us.size()
                                                ? plan.last_wall_us[i]
                                                : 0));
  }
  json["tests"] = std::move(tests);
  return Line(json);
}

std::string RunningJson(std::string_view event, const RunPlan& plan,
                        const RunningTest& running) {
  Json json = Event(event);
  json["id"] = plan.tests[running.test].id;
  json["attempt"] = running.attempt;
  json["slot"] = running.slot;
  json["begun_ns"] = running.begun_ns;
  json["elapsed_us"] = running.elapsed_us;
  return Line(json);
}

std::string OutputJson(const RunPlan& plan, const RunningTest& running,
                       int stream, std::string_view text) {
  Json json = Event("output");
  json["id"] = plan.tests[running.test].id;
  json["attempt"] = running.attempt;
  json["stream"] = stream == 1 ? "stdout" : "stderr";
  json["text"] = std::string(text);
  return Line(json);
}

std::string AttemptEndedJson(const RunPlan& plan, std::size_t test,
                             const Attempt& attempt, bool last) {
  Json json = Event("attempt_ended");
  json["id"] = plan.tests[test].id;
  json["last"] = last;
  AppendTo(json, JsonOf(attempt));
  return Line(json);
}

std::string TestEndedJson(const RunPlan& plan, const TestResult& result) {
  Json json = Event("test_ended");
  json["id"] = plan.tests[result.test].id;
  json["verdict"] = std::string(NameOf(result.verdict));
  json["attempts"] = result.attempts.size();
  json["wall_us"] = result.last().wall_us;
  return Line(json);
}

std::string ShownRunningJson(const RunPlan& plan,
                             const std::vector<RunningTest>& running) {
  Json json = Event("running");
  Json tests = Json::array();
  for (const RunningTest& one : running) {
    tests.push_back(Json{{"id", plan.tests[one.test].id},
                         {"attempt", one.attempt},
                         {"slot", one.slot},
                         {"begun_ns", one.begun_ns},
                         {"elapsed_us", one.elapsed_us},
                         {"slow", one.slow},
                         {"stdout", CapturedJson(one.out)},
                         {"stderr", CapturedJson(one.err)}});
  }
  json["tests"] = std::move(tests);
  return Line(json);
}

std::string WarningJson(const std::string& text) {
  Json json = Event("warning");
  json["text"] = text;
  return Line(json);
}

std::string RunEndedJson(const RunSummary& summary) {
  Json json = Event("run_ended");
  json["planned"] = summary.planned;
  json["passed"] = summary.passed;
  json["failed"] = summary.failed;
  json["skipped"] = summary.skipped;
  json["crashed"] = summary.crashed;
  json["timed_out"] = summary.timed_out;
  json["leaked"] = summary.leaked;
  json["flaky"] = summary.flaky;
  json["infrastructure"] = summary.infrastructure;
  json["not_run"] = summary.not_run;
  json["wall_us"] = summary.wall_us;
  json["interrupted"] = summary.interrupted;
  json["stopped_because"] = summary.stopped_because;
  json["errors"] = summary.errors;
  json["exit_code"] = summary.exit_code;
  return Line(json);
}

std::string AttemptJson(const Attempt& attempt) {
  return Line(JsonOf(attempt));
}

std::string JsonString(std::string_view text) {
  return Line(Json(std::string(text)));
}

}  // namespace forkserver::harness
