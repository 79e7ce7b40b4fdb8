// Prints what a file of ClosedXml has after each page that the system copies:
// all that a reader can find when the process is killed. For closed_xml_test.
//
// pwrite(2) is replaced at link time (-Wl,--wrap=pwrite). Each state is
// "BYTES RECORDS\n" and then the bytes of the file; RECORDS is how many records
// were appended by then, the last one perhaps not yet.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "tools/harness/report/closed_xml.h"

namespace {
constexpr off_t kPage = 4096;
std::string path;
std::size_t begun_records = 0;

void PrintState() {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string state = text.str();
  std::printf("%zu %zu\n", state.size(), begun_records);
  std::fwrite(state.data(), 1, state.size(), stdout);
}
}  // namespace

extern "C" {
// NOLINTNEXTLINE(bugprone-reserved-identifier)
ssize_t __real_pwrite(int fd, const void* bytes, std::size_t size, off_t at);
// NOLINTNEXTLINE(bugprone-reserved-identifier)
ssize_t __wrap_pwrite(int fd, const void* bytes, std::size_t size, off_t at) {
  std::size_t done = 0;
  while (done < size) {
    const off_t from = at + static_cast<off_t>(done);
    const std::size_t piece = std::min<std::size_t>(
        size - done, static_cast<std::size_t>(kPage - from % kPage));
    const ssize_t count =
        __real_pwrite(fd, static_cast<const char*>(bytes) + done, piece, from);
    if (count < 0) return count;
    done += static_cast<std::size_t>(count);
    PrintState();
  }
  return static_cast<ssize_t>(size);
}
}

namespace forkserver::harness {
namespace {

// Records of all lengths around the size of a page and of several, with
// characters of all lengths.
std::string Record(std::size_t number, std::size_t size) {
  static const char* const characters[] = {"x",    "ä",  "東",
                                           "🙂", "--", "?&gt;"};
  std::mt19937 random(static_cast<unsigned>(number));
  std::string text = "<r n=\"" + std::to_string(number) + "\">";
  while (text.size() < size) text += characters[random() % 6];
  return text + "</r>\n";
}

int Main(int argc, char** argv) {
  if (argc != 2) return 2;
  path = argv[1];
  Result<ClosedXml> xml =
      ClosedXml::Create("--junit", path, "<all>\n", "</all>\n");
  if (!xml) return 1;
  std::mt19937 random(5);  // NOLINT: the same each time
  std::string suite_end;
  for (std::size_t number = 0; number < 120; ++number) {
    std::size_t size = random() % 400;
    if (number % 4 == 0) size = 3900 + random() % 400;
    if (number % 13 == 0) size = random() % 30000;
    std::string text;
    // End tags of different lengths.
    if (number % 10 == 0) {
      text = suite_end + "<s>";
      suite_end = "</s>\n";
    }
    text += Record(number, size);
    begun_records = number + 1;
    xml->Append(text, suite_end + "</all>\n");
  }
  xml->Close();
  return xml->file().error() ? 1 : 0;
}

}  // namespace
}  // namespace forkserver::harness

int main(int argc, char** argv) {
  return forkserver::harness::Main(argc, argv);
}
