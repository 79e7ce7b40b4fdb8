#include "tools/harness/report/closed_xml.h"

#include <algorithm>

namespace forkserver::harness {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::string_view kHide = "<?q -->";
constexpr std::string_view kHideUntil = "<?r ?>";
constexpr std::string_view kComment = "<!--";

std::uint64_t NextPage(std::uint64_t offset) {
  return (offset / kPage + 1) * kPage;
}

// A character that crosses a border of pages would be half a character for a
// while: it becomes a reference. `begin` is the offset of `text` in the file.
void KeepCharactersWhole(std::string& text, std::uint64_t begin) {
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80;
  };
  for (std::uint64_t border = NextPage(begin); border < begin + text.size();
       border += kPage) {
    std::size_t at = border - begin;
    if (!continues(at)) continue;
    while (at > 0 && continues(at)) --at;
    const unsigned first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    char32_t code = first & (0xFFu >> (length + 1));
    for (std::size_t i = 1; i < length && at + i < text.size(); ++i) {
      code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
    }
    text.replace(at, length, "&#" + std::to_string(code) + ";");
  }
}

}  // namespace

Result<ClosedXml> ClosedXml::Create(std::string option, const std::string& path,
                                    std::string_view head,
                                    std::string end_tags) {
  Result<ReportFile> file =
      ReportFile::Create(std::move(option), path, std::string(head) + end_tags);
  if (!file) return std::move(file).error();
  if (!file->seekable() && !file->Append(head)) return *file->error();
  ClosedXml xml(std::move(*file));
  xml.end_tags_at_ = head.size();
  xml.end_tags_ = std::move(end_tags);
  return xml;
}

FileRange ClosedXml::Append(std::string_view elements, std::string end_tags) {
  if (!file_.seekable()) {
    file_.Append(elements);
    end_tags_ = std::move(end_tags);
    return {};
  }
  const std::uint64_t page_end = NextPage(end_tags_at_);
  if (end_tags_at_ + elements.size() + end_tags.size() > page_end) {
    return AppendInNextPage(elements, std::move(end_tags));
  }
  const FileRange range{end_tags_at_, elements.size()};
  std::string text(elements);
  text += end_tags;
  // Over what was behind the old end tags.
  const std::uint64_t end = end_tags_at_ + text.size();
  if (end < file_.size()) text.append(file_.size() - end, ' ');
  if (file_.WriteAt(end_tags_at_, text)) {
    end_tags_at_ += elements.size();
    end_tags_ = std::move(end_tags);
  } else {
    file_.CutBack(end_tags_at_, end_tags_);
  }
  return range;
}

void ClosedXml::Close() {
  if (!file_.seekable()) file_.Append(end_tags_);
}

FileRange ClosedXml::AppendInNextPage(std::string_view elements,
                                      std::string end_tags) {
  const std::uint64_t begin = NextPage(end_tags_at_);
  std::string text(kHide);
  text += elements;
  KeepCharactersWhole(text, begin);
  const FileRange range{begin + kHide.size(), text.size() - kHide.size()};
  // The end tags and what ends the hiding stay in one page.
  const std::uint64_t last_size = end_tags.size() + kHideUntil.size();
  const std::uint64_t last_at = begin + text.size();
  if (last_at + last_size > NextPage(last_at)) {
    text.append(NextPage(last_at) - last_at, '\n');
  }
  const std::uint64_t end_tags_at = begin + text.size();
  text += end_tags;

  // Blanks up to what will end the hiding, which is harmless by itself; then
  // what is hidden, its first page first; then it is uncovered.
  std::string blanks(begin + text.size() - file_.size(), ' ');
  blanks += kHideUntil;
  std::string comment(kComment);
  comment.resize(std::max(comment.size(), end_tags_.size()), ' ');
  if (file_.WriteAt(file_.size(), blanks) && file_.WriteAt(begin, text) &&
      file_.WriteAt(end_tags_at_, comment)) {
    end_tags_at_ = end_tags_at;
    end_tags_ = std::move(end_tags);
  } else {
    file_.CutBack(end_tags_at_, end_tags_);
  }
  return range;
}

}  // namespace forkserver::harness
