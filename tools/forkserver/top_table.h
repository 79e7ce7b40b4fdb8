// The table of `top` as lines of a terminal of any size, and what its keys do
// to it. Passive and pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/forkserver/top_sampler.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::cli {

enum class TopOrder { kCpu, kMemory, kRestarts, kName };

// The most first; by name, and then by id, where that is the same.
void Sort(std::vector<TopRow>& rows, TopOrder order);

// As cells, the heading first. What is not known is empty. Text is safe for a
// terminal.
std::vector<std::vector<std::string>> TopCells(const std::vector<TopRow>& rows,
                                               bool utf8);

class TopTable {
 public:
  // `title`: what the rows are of, for the first line.
  explicit TopTable(std::string title) : title_(std::move(title)) {}

  void Show(std::vector<TopRow> rows);
  // False: it is to end. A sequence that has not arrived in full waits for its
  // rest.
  bool OnKeys(std::string_view keys);
  // As many as the terminal has, each as wide as it. The less room there is,
  // the less is shown: rows and names to the last.
  std::vector<std::string> Lines(const TerminalLook& look);

 private:
  enum class Key {
    kQuit,
    kCpu,
    kMemory,
    kRestarts,
    kName,
    kUp,
    kDown,
    kPageUp,
    kPageDown,
  };
  bool OnKey(Key key);
  void SortBy(TopOrder order);
  void ScrollDown(std::size_t rows);
  std::string Summary() const;
  std::string Footer() const;

  const std::string title_;
  std::vector<TopRow> rows_;
  TopOrder order_ = TopOrder::kCpu;
  std::string keys_;         // the beginning of a sequence
  std::size_t first_ = 0;    // the row at the top
  std::size_t visible_ = 1;  // rows that there was room for
};

}  // namespace forkserver::cli
