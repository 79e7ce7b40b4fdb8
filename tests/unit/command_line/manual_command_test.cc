#include "tools/forkserver/manual_command.h"

#include <doctest/doctest.h>

#include <string>

namespace forkserver::cli {
namespace {

Manual MakeManual(const std::string& description, const std::string& notes) {
  Manual manual;
  manual.options = {{{"--socket"}, "PATH", "The socket"}};
  Manual::Command& command = manual.commands.emplace_back();
  command.name = "zygote start";
  command.synopsis = "NAME [options]";
  command.description = description;
  command.notes = notes;
  command.usage_exit_code = 2;
  command.options = {{{"-f", "--file"}, "NAME=\"VALUE\"", "A file. Or two"}};
  return manual;
}

bool Says(const std::string& page, const std::string& lines) {
  return page.find(lines) != page.npos;
}

TEST_CASE("a command has its synopsis, options and notes") {
  const std::string page = FormatManual(
      MakeManual("Start it.", "At once.\nExample:\n  start -f\n  end\nSo."));
  CHECK(Says(page,
             ".Ss zygote start\n.Nm\n.Ic \"zygote start\"\n"
             "NAME [options]\n.Pp\nStart it.\n"));
  CHECK(Says(page,
             ".It Fl \"f\" , Fl \"\\-file\" Ar \"NAME=\"\"VALUE\"\"\"\n"
             "A file.\nOr two.\n"));
  CHECK(Says(page,
             ".El\n.Pp\nAt once.\n.Pp\nExample:\n"
             ".Bd -literal -offset indent\nstart \\-f\nend\n.Ed\n"
             ".Pp\nSo.\n"));
}

TEST_CASE("no text is taken for a request of mdoc") {
  const std::string page = FormatManual(
      MakeManual(".Sh is text, and so is \\fB", "  'quoted\n  .x"));
  CHECK(Says(page, "\n\\&.Sh is text, and so is \\efB\n"));
  CHECK(Says(page, "\n\\&'quoted\n\\&.x\n"));
}

TEST_CASE("long text is broken, and each sentence begins a line") {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "word ";
  const std::string page = FormatManual(MakeManual(text + "end. Next.", ""));
  for (std::size_t at = 0, end; at < page.size(); at = end + 1) {
    end = page.find('\n', at);
    CHECK(end - at <= 80);
  }
  CHECK(Says(page, " end.\nNext.\n"));
}

TEST_CASE("wrong usage has the exit codes of the table") {
  Manual manual = MakeManual("", "");
  manual.commands.push_back(manual.commands[0]);
  manual.commands.back().name = "run";
  manual.commands.back().usage_exit_code = 125;
  CHECK(Says(FormatManual(manual), ".It 2\nWrong usage, except of run.\n"));
}

}  // namespace
}  // namespace forkserver::cli
