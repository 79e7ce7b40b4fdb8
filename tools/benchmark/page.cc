#include "tools/benchmark/page.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <vector>

#include "tools/benchmark/page_head.h"
#include "tools/harness/report/report_file.h"
#include "tools/terminal/text_safety.h"

namespace forkserver::benchmark {
namespace {

constexpr char kEnd[] = "</main>\n</body>\n</html>\n";

// What was measured in turn.
struct Group {
  std::string name;
  std::vector<const Row*> rows;
};

std::string Escaped(std::string_view text) {
  std::string html;
  AppendXmlAttribute(html, text);
  return html;
}

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char text[128];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof(text), format, values);
  va_end(values);
  return text;
}

// With three figures, as much as there is to say.
std::string Value(double value, const std::string& unit) {
  if (unit == kRequestsPerSecond) return Format("%.0f/s", value);
  const char* suffix = "\u00b5s";
  if (std::abs(value) >= 1e6) {
    value /= 1e6;
    suffix = "s";
  } else if (std::abs(value) >= 1e4) {
    value /= 1e3;
    suffix = "ms";
  }
  const int digits =
      std::abs(value) >= 100 ? 0 : (std::abs(value) >= 10 ? 1 : 2);
  return Format("%.*f\u00a0%s", digits, value, suffix);
}

const char* NameOf(Role role) {
  switch (role) {
    case Role::kForkserverd:
      return "forkserverd";
    case Role::kLimit:
      return "limit";
    case Role::kPeer:
      return "peer";
  }
  return "";
}

std::vector<Group> GroupsOf(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  for (const Row& row : rows) {
    auto found = std::find_if(
        groups.begin(), groups.end(),
        [&](const Group& group) { return group.name == row.group; });
    if (found == groups.end()) {
      groups.push_back({row.group, {}});
      found = groups.end() - 1;
    }
    found->rows.push_back(&row);
  }
  return groups;
}

// Where a drawing ends: one slow sample must not make all the rest tiny.
double EndOfScale(const Group& group) {
  double highest = 0;
  for (const Row* row : group.rows) {
    highest = std::max({highest, row->summary.q3, row->summary.median});
  }
  double end = highest;
  for (const Row* row : group.rows) {
    end = std::max(end, std::min(row->summary.p99, 1.5 * highest));
  }
  return end > 0 ? end * 1.03 : 1;
}

// Between two values; their order does not matter.
std::string Piece(const char* kind, double from, double to, double end) {
  const double left = std::clamp(std::min(from, to) / end, 0.0, 1.0) * 100;
  const double right = std::clamp(std::max(from, to) / end, 0.0, 1.0) * 100;
  return Format("<span class=\"%s\" style=\"left:%.2f%%;width:%.2f%%\"></span>",
                kind, left, right - left);
}

std::string Track(const Row& row, double end) {
  const Summary& summary = row.summary;
  const std::string spread = "quartiles " + Value(summary.q1, row.unit) +
                             " and " + Value(summary.q3, row.unit) +
                             ", slowest hundredth from " +
                             Value(summary.p99, row.unit);
  return "<div class=\"track\" role=\"img\" aria-label=\"" + Escaped(spread) +
         "\">" + Piece("tail", summary.median, summary.p99, end) +
         Piece("half", summary.q1, summary.q3, end) +
         Format("<span class=\"median\" style=\"left:%.2f%%\"></span>",
                std::clamp(summary.median / end, 0.0, 1.0) * 100) +
         "</div>\n";
}

std::string Ratio(const Row& row) {
  std::string html = "<p>" + Format("%.2f \u00d7 ", *row.ratio) +
                     Escaped(WithoutSharedFolders(row.reference, row.name));
  if (row.aim) {
    const char* const outcome = row.met() ? "met" : "missed";
    html += Format("<span class=\"badge\" data-aim=\"%s\">%s %g %s</span>",
                   outcome, row.aim->at_least ? "\u2265" : "\u2264",
                   row.aim->value, outcome);
  }
  return html + "</p>\n";
}

// A way, with all that it is compared with: the rows of its name.
std::string Way(const Group& group, const Row& way, double end) {
  const Summary& summary = way.summary;
  const std::string name =
      way.name.substr(std::min(group.name.size() + 1, way.name.size()));
  std::string html = "<div class=\"way\" data-role=\"" +
                     std::string(NameOf(way.role)) + "\" data-case=\"" +
                     Escaped(way.name) + "\">\n<h3>" + Escaped(name) +
                     "</h3>\n" + Track(way, end) + "<div class=\"number\">" +
                     Escaped(Value(summary.median, way.unit)) + "</div>\n";
  for (const Row* row : group.rows) {
    if (row->name == way.name && row->ratio) html += Ratio(*row);
  }
  html += "<p class=\"small muted\">" +
          Escaped(Value(summary.q1, way.unit) + " \u2013 " +
                  Value(summary.q3, way.unit) + ", p99 " +
                  Value(summary.p99, way.unit)) +
          Format(", %zu samples", summary.samples);
  if (summary.disturbed > 0) {
    html += Format(", %zu disturbed", summary.disturbed);
  }
  return html + "</p>\n</div>\n";
}

std::string Section(const Group& group) {
  const double end = EndOfScale(group);
  std::string html =
      "<section>\n<div class=\"title\"><h2>" + Escaped(group.name) +
      "</h2><span class=\"small muted\">0 to " +
      Escaped(Value(end, group.rows.front()->unit)) + "</span></div>\n";
  std::vector<std::string> drawn;
  for (const Row* row : group.rows) {
    if (std::find(drawn.begin(), drawn.end(), row->name) != drawn.end()) {
      continue;
    }
    drawn.push_back(row->name);
    html += Way(group, *row, end);
  }
  return html + "</section>\n";
}

std::string Notice(const std::string& text) {
  return "<p class=\"notice\">" + Escaped(text) + "</p>\n";
}

std::string Top(const Figures& figures) {
  std::size_t aims = 0;
  std::size_t met = 0;
  for (const Row& row : figures.rows) {
    aims += row.aim ? 1 : 0;
    met += row.met() ? 1 : 0;
  }
  std::string html =
      Format(
          "<p class=\"muted\">%zu of %zu aims met. Only ways of one "
          "drawing compare: they were measured in turn.</p>\n",
          met, aims) +
      "<dl class=\"facts\">\n";
  for (const Facts& facts : {figures.machine, figures.versions}) {
    for (const auto& [name, value] : facts) {
      html += "<div><dt>" + Escaped(name) + "</dt><dd>" + Escaped(value) +
              "</dd></div>\n";
    }
  }
  html += "</dl>\n";
  const std::string disturbed = DisturbedNote(figures.rows);
  if (!disturbed.empty()) html += Notice(disturbed);
  for (const std::string& skipped : figures.skipped) html += Notice(skipped);
  html += "<div class=\"key small muted\">";
  for (const auto& [role, words] :
       {std::pair(Role::kLimit, "bare: what the system allows"),
        std::pair(Role::kPeer, "others"),
        std::pair(Role::kForkserverd, "forkserverd")}) {
    html +=
        Format("<span data-role=\"%s\"><span class=\"track\">", NameOf(role)) +
        Piece("half", 0, 1, 1) + "</span> " + words + "</span>";
  }
  return html +
         "<span>the box is the middle half of the samples, the mark in it "
         "their median, the line ends at the slowest hundredth</span></div>\n"
         "</header>\n<main>\n";
}

}  // namespace

Result<void> WritePage(const std::string& path, const Figures& figures) {
  std::string page = std::string(PageHead()) + Top(figures);
  for (const Group& group : GroupsOf(figures.rows)) page += Section(group);
  page += kEnd;
  auto file = harness::ReportFile::Create("--html", path, page);
  if (!file) return file.error();
  if (!file->seekable() && !file->Append(page)) return *file->error();
  return {};
}

}  // namespace forkserver::benchmark
