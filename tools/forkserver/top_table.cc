#include "tools/forkserver/top_table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <tuple>
#include <utility>

#include "tools/terminal/text_safety.h"

namespace forkserver::cli {
namespace {

// The most important first: on a narrow terminal the last ones are left out.
struct Heading {
  const char* text;
  bool right;  // numbers
};
constexpr std::array kHeadings = {
    Heading{"NAME", false},    Heading{"CPU%", true},  Heading{"MEMORY", true},
    Heading{"RESTARTS", true}, Heading{"KIND", false}, Heading{"STATE", false},
    Heading{"PID", true},      Heading{"ID", false},
};
constexpr int kGap = 2;
// A name is not cut below this for the sake of another column.
constexpr int kNameWidth = 12;

std::string OneDecimal(double number) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", number);
  return text;
}

// "812K", "34.5M", "1.2G".
std::string FormatMemory(std::int64_t bytes) {
  constexpr double kKilo = 1024;
  const double kilobytes = static_cast<double>(bytes) / kKilo;
  if (kilobytes < kKilo) return std::to_string(bytes / 1024) + "K";
  if (kilobytes < kKilo * kKilo) return OneDecimal(kilobytes / kKilo) + "M";
  return OneDecimal(kilobytes / kKilo / kKilo) + "G";
}

const char* NameOf(TopOrder order) {
  switch (order) {
    case TopOrder::kCpu:
      return "CPU";
    case TopOrder::kMemory:
      return "memory";
    case TopOrder::kRestarts:
      return "restarts";
    case TopOrder::kName:
      return "name";
  }
  return "";
}

std::string Counted(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string Padded(const std::string& text, int width, bool right) {
  const auto missing =
      static_cast<std::size_t>(std::max(0, width - DisplayWidth(text)));
  return right ? std::string(missing, ' ') + text
               : text + std::string(missing, ' ');
}

// How wide each column that is shown is.
std::vector<int> FitWidths(const std::vector<std::vector<std::string>>& cells,
                           int columns) {
  std::vector<int> widths(kHeadings.size());
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max({widths[i], DisplayWidth(row[i]), 1});
    }
  }
  const auto others = [&] {
    int sum = 0;
    for (std::size_t i = 1; i < widths.size(); ++i) sum += kGap + widths[i];
    return sum;
  };
  const int name = std::min(widths[0], kNameWidth);
  while (widths.size() > 1 && name + others() > columns) widths.pop_back();
  widths[0] = std::min(widths[0], columns - others());
  return widths;
}

std::string Line(const std::vector<std::string>& cells,
                 const std::vector<int>& widths, const TerminalLook& look) {
  std::string line;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) line.append(kGap, ' ');
    const std::string& cell = cells[i];
    line += Padded(FitColumns(cell.empty() ? "-" : cell, widths[i], look.utf8),
                   widths[i], kHeadings[i].right);
  }
  return Padded(line, look.columns, false);
}

}  // namespace

void Sort(std::vector<TopRow>& rows, TopOrder order) {
  // What is not known is less than nothing.
  const auto key = [order](const TopRow& row) {
    switch (order) {
      case TopOrder::kCpu:
        return row.cpu_percent.value_or(-1);
      case TopOrder::kMemory:
        return static_cast<double>(row.memory_bytes.value_or(-1));
      case TopOrder::kRestarts:
        return static_cast<double>(row.restarts.value_or(-1));
      case TopOrder::kName:
        break;
    }
    return 0.0;
  };
  std::sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
    return std::make_tuple(-key(a), std::cref(a.name), std::cref(a.id)) <
           std::make_tuple(-key(b), std::cref(b.name), std::cref(b.id));
  });
}

std::vector<std::vector<std::string>> TopCells(const std::vector<TopRow>& rows,
                                               bool utf8) {
  std::vector<std::vector<std::string>> cells(1);
  for (const Heading& heading : kHeadings) cells[0].emplace_back(heading.text);
  for (const TopRow& row : rows) {
    cells.push_back({SafeOnOneLine(row.name, {.utf8 = utf8}),
                     row.cpu_percent ? OneDecimal(*row.cpu_percent) : "",
                     row.memory_bytes ? FormatMemory(*row.memory_bytes) : "",
                     row.restarts ? std::to_string(*row.restarts) : "",
                     row.kind, row.state,
                     row.pid != 0 ? std::to_string(row.pid) : "", row.id});
  }
  return cells;
}

void TopTable::Show(std::vector<TopRow> rows) {
  rows_ = std::move(rows);
  Sort(rows_, order_);
}

bool TopTable::OnKeys(std::string_view keys) {
  static constexpr std::pair<std::string_view, Key> kKeys[] = {
      {"q", Key::kQuit},           {"c", Key::kCpu},
      {"m", Key::kMemory},         {"r", Key::kRestarts},
      {"n", Key::kName},           {"k", Key::kUp},
      {"j", Key::kDown},           {"\x1b[A", Key::kUp},
      {"\x1b[B", Key::kDown},      {"\x1bOA", Key::kUp},
      {"\x1bOB", Key::kDown},      {"\x1b[5~", Key::kPageUp},
      {"\x1b[6~", Key::kPageDown},
  };
  keys_ += keys;
  while (!keys_.empty()) {
    bool waits = false;
    std::size_t taken = 1;  // of what means nothing
    for (const auto& [sequence, key] : kKeys) {
      if (keys_.starts_with(sequence)) {
        if (!OnKey(key)) return false;
        taken = sequence.size();
        break;
      }
      waits = waits || sequence.starts_with(keys_);
    }
    if (waits) return true;
    keys_.erase(0, taken);
  }
  return true;
}

bool TopTable::OnKey(Key key) {
  switch (key) {
    case Key::kQuit:
      return false;
    case Key::kCpu:
      SortBy(TopOrder::kCpu);
      break;
    case Key::kMemory:
      SortBy(TopOrder::kMemory);
      break;
    case Key::kRestarts:
      SortBy(TopOrder::kRestarts);
      break;
    case Key::kName:
      SortBy(TopOrder::kName);
      break;
    case Key::kUp:
      first_ -= std::min<std::size_t>(first_, 1);
      break;
    case Key::kPageUp:
      first_ -= std::min(first_, visible_);
      break;
    case Key::kDown:
      ScrollDown(1);
      break;
    case Key::kPageDown:
      ScrollDown(visible_);
      break;
  }
  return true;
}

void TopTable::SortBy(TopOrder order) {
  order_ = order;
  first_ = 0;
  Sort(rows_, order_);
}

void TopTable::ScrollDown(std::size_t rows) {
  const std::size_t last = rows_.size() - std::min(rows_.size(), visible_);
  first_ = std::min(first_ + rows, last);
}

std::string TopTable::Summary() const {
  std::size_t services = 0, workers = 0, zygotes = 0;
  double cpu = 0;
  std::int64_t memory = 0;
  for (const TopRow& row : rows_) {
    if (row.kind == "service") ++services;
    if (row.kind == "worker") ++workers;
    if (row.kind == "zygote") ++zygotes;
    cpu += row.cpu_percent.value_or(0);
    memory += row.memory_bytes.value_or(0);
  }
  return title_ + ": " + Counted(services, "service") + ", " +
         Counted(workers, "worker") + ", " + Counted(zygotes, "zygote") +
         "; CPU " + OneDecimal(cpu) + "%, memory " + FormatMemory(memory);
}

std::string TopTable::Footer() const {
  std::string text = std::string("sorted by ") + NameOf(order_);
  if (rows_.size() > visible_) {
    text += "; " + std::to_string(first_ + 1) + "-" +
            std::to_string(std::min(first_ + visible_, rows_.size())) + " of " +
            std::to_string(rows_.size());
  }
  return text + "; c CPU, m memory, r restarts, n name, j k scroll, q quit";
}

std::vector<std::string> TopTable::Lines(const TerminalLook& look) {
  const auto rows = static_cast<std::size_t>(std::max(look.rows, 1));
  const bool has_heading = rows >= 3;
  const bool has_summary = rows >= 4;
  const bool has_footer = rows >= 6;
  visible_ = rows - (has_heading ? 1 : 0) - (has_summary ? 1 : 0) -
             (has_footer ? 1 : 0);
  ScrollDown(0);  // not beyond the end: there may be fewer rows, or more room

  const auto whole_line = [&](const std::string& text, Paint paint) {
    return Painted(
        look, paint,
        Padded(FitColumns(text, look.columns, look.utf8), look.columns, false));
  };
  const auto cells = TopCells(rows_, look.utf8);
  const std::vector<int> widths = FitWidths(cells, look.columns);
  std::vector<std::string> lines;
  if (has_summary) lines.push_back(whole_line(Summary(), Paint::kPlain));
  if (has_heading) {
    lines.push_back(Painted(look, Paint::kBold, Line(cells[0], widths, look)));
  }
  const std::size_t end = std::min(first_ + visible_, rows_.size());
  for (std::size_t i = first_; i < end; ++i) {
    lines.push_back(Line(cells[i + 1], widths, look));
  }
  if (rows_.empty()) {
    lines.push_back(whole_line("nothing runs", Paint::kPlain));
  }
  while (lines.size() < rows - (has_footer ? 1 : 0)) {
    lines.push_back(whole_line("", Paint::kPlain));
  }
  if (has_footer) lines.push_back(whole_line(Footer(), Paint::kDim));
  return lines;
}

}  // namespace forkserver::cli
