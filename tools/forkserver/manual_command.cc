#include "tools/forkserver/manual_command.h"

#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>

#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

// Of the last change of what is written here by hand.
constexpr char kBeginning[] = R"(.Dd November 22, 2026
.Dt FORKSERVER 1
.Os
.Sh NAME
.Nm forkserver
.Nd the command line of forkserverd
.Sh SYNOPSIS
.Nm
.Op Ar options
.Ar command
.Op Ar argument ...
.Sh DESCRIPTION
.Nm
asks
.Xr forkserverd 1
for workers, looks after them and after services, runs tests, and starts and
stops the daemon.
.Pp
)";

constexpr char kEnd[] = R"(.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev FORKSERVER_SOCKET
The daemon's socket.
.It Ev FORKSERVER_BIN
The folder of
.Xr forkserverd 1 ;
otherwise
.Ev PATH ,
the folder of
.Nm
and
.Pa ~/.local/bin .
.It Ev FORKSERVER_DISABLE
With 1
.Ic run
launches the command itself; what needs a daemon fails.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa forkserver.toml
See
.Xr forkserver.toml 5 .
.It Pa $XDG_CACHE_HOME/forkserver/tests
Recorded times of tests.
.El
)";

// Text of a line that is no macro. Minus signs stay minus signs.
std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == '\\') {
      escaped += "\\e";
    } else if (letter == '-') {
      escaped += "\\-";
    } else {
      escaped += letter;
    }
  }
  if (!escaped.empty() && (escaped[0] == '.' || escaped[0] == '\'')) {
    escaped.insert(0, "\\&");
  }
  return escaped;
}

// A word of a line that is a macro.
std::string Argument(std::string_view text) {
  std::string quoted = "\"";
  for (const char letter : Escape(text)) {
    quoted += letter == '"' ? "\"\"" : std::string(1, letter);
  }
  return quoted + "\"";
}

// Filled text. Each sentence begins a line, as mdoc wants it.
std::string Paragraph(std::string_view text) {
  constexpr std::size_t kWidth = 76;
  std::string lines;
  std::string line;
  const auto finish = [&] {
    if (!line.empty()) lines += Escape(line) + "\n";
    line.clear();
  };
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > kWidth) finish();
    line += (line.empty() ? "" : " ") + word;
    if (word.ends_with('.') && !word.ends_with("..")) finish();
  }
  finish();
  return lines;
}

// Lines that begin with two blanks are shown as they are, others are filled.
std::string Notes(std::string_view notes) {
  std::string page;
  std::string filled;
  bool literal = false;
  const auto finish = [&] {
    if (literal) page += ".Ed\n";
    if (!filled.empty()) page += ".Pp\n" + Paragraph(filled);
    filled.clear();
    literal = false;
  };
  std::istringstream lines{std::string(notes)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  ")) {
      if (!literal) {
        finish();
        page += ".Bd -literal -offset indent\n";
      }
      literal = true;
      page += Escape(line.substr(2)) + "\n";
    } else {
      if (literal) finish();
      // What comes next is of its own: "Example:", "Exit codes:".
      if (line.ends_with(':')) finish();
      filled += line + " ";
    }
  }
  finish();
  return page;
}

std::string OptionList(const std::vector<Manual::Option>& options) {
  if (options.empty()) return {};
  std::string page = ".Bl -tag -width Ds\n";
  for (const Manual::Option& option : options) {
    std::string names;
    for (const std::string& name : option.names) {
      names +=
          (names.empty() ? "" : " , ") + ("Fl " + Argument(name.substr(1)));
    }
    page += ".It " + names;
    if (!option.value.empty()) page += " Ar " + Argument(option.value);
    page += "\n" + Paragraph(option.description + ".");
  }
  return page + ".El\n";
}

std::string CommandSection(const Manual::Command& command) {
  std::string page = ".Ss " + command.name + "\n";
  page += ".Nm\n.Ic " + Argument(command.name) + "\n";
  page += Escape(command.synopsis) + "\n.Pp\n";
  page += Paragraph(command.description);
  page += OptionList(command.options);
  return page + Notes(command.notes);
}

std::string ExitStatus(const Manual& manual) {
  const auto entry = [](int code, const std::string& text) {
    return ".It " + std::to_string(code) + "\n" + Paragraph(text);
  };
  std::string others;  // whose wrong usage is not kUsage
  for (const Manual::Command& command : manual.commands) {
    if (command.usage_exit_code == kUsage) continue;
    others += (others.empty() ? "" : ", ") + command.name;
  }
  std::string page =
      ".Sh EXIT STATUS\nUnless a command says otherwise above:\n"
      ".Bl -tag -width Ds\n";
  page += entry(kOk, "Done.");
  page += entry(kUsage, "Wrong usage, except of " + others + ".");
  page += entry(kFailed,
                "It failed: no daemon, a refused request, a lost connection. "
                "Of " +
                    others + " wrong usage, too.");
  return page + ".El\n";
}

}  // namespace

std::string FormatManual(const Manual& manual) {
  std::string page = kBeginning;
  page +=
      "Before the command, and \\-\\-socket behind it as well, there can "
      "be:\n" +
      OptionList(manual.options);
  page +=
      ".Pp\nDurations are 2s, 500ms, 1m or 1.5h; a bare number is "
      "seconds.\n";
  page += ".Sh COMMANDS\n";
  for (const Manual::Command& command : manual.commands) {
    page += CommandSection(command);
  }
  page += kEnd + ExitStatus(manual);
  page += ".Sh SEE ALSO\n.Xr forkserverd 1 ,\n.Xr forkserver.toml 5\n";
  return page;
}

int PrintManual(const Options& options) {
  std::string page = FormatManual(options.manual);
  page.pop_back();  // PrintLine ends it
  PrintLine(page);
  return kOk;
}

}  // namespace forkserver::cli
