#include "tools/forkserver/login_setup.h"

#include <utility>

#include "tools/terminal/text_safety.h"

namespace forkserver::cli {
namespace {

// As the program of an Exec line. "%" begins a specifier in both formats.
std::string QuoteForSystemd(const std::string& program) {
  std::string quoted = "\"";
  for (const char byte : program) {
    if (byte == '%') quoted += '%';
    quoted += byte;
  }
  return quoted + "\"";
}

std::string QuoteForDesktopEntry(const std::string& program) {
  std::string quoted = "\"";
  for (const char byte : program) {
    // A backslash of the quoting is itself escaped, as in every string of
    // such a file.
    if (byte == '"' || byte == '`' || byte == '$') quoted += "\\\\";
    if (byte == '\\') quoted += "\\\\\\";
    if (byte == '%') quoted += '%';
    quoted += byte;
  }
  return quoted + "\"";
}

std::string Comment() { return std::string("# ") + kMadeByEnable + "\n"; }

// All ordinary units of a user are ordered after basic.target, and systemd lets
// the login go on when that is reached: what is before it is before all else.
std::string ServiceUnit(const std::string& program) {
  // "$" stands for variables, except after ":" (systemd 244).
  const std::string literally =
      program.find('$') == std::string::npos ? "" : ":";
  return Comment() +
         "[Unit]\n"
         "Description=forkserverd, the fork server of this session\n"
         "DefaultDependencies=no\n"
         "Conflicts=shutdown.target\n"
         "Wants=forkserverd.socket\n"
         "After=forkserverd.socket\n"
         "Before=basic.target shutdown.target\n"
         "\n"
         "[Service]\n"
         "Type=notify\n"
         "ExecStart=" +
         literally + QuoteForSystemd(program) +
         " --foreground\n"
         "ExecReload=/bin/kill -HUP $MAINPID\n"
         "Restart=on-failure\n"
         "RestartPreventExitStatus=1 2\n"
         "TimeoutStartSec=5s\n"
         "Delegate=yes\n"
         "KillMode=process\n"
         "OOMPolicy=continue\n"
         "\n"
         "[Install]\n"
         "WantedBy=basic.target\n"
         "Also=forkserverd.socket\n";
}

std::string SocketUnit() {
  return Comment() +
         "[Unit]\n"
         "Description=The socket of forkserverd\n"
         "\n"
         "[Socket]\n"
         "ListenStream=%t/forkserver/default.sock\n"
         "SocketMode=0600\n"
         "DirectoryMode=0700\n"
         "Backlog=1024\n"
         "\n"
         "[Install]\n"
         "WantedBy=sockets.target\n";
}

std::string XmlString(const std::string& text) {
  std::string xml = "<string>";
  AppendXml(xml, text);
  return xml + "</string>";
}

std::string LaunchAgent(const LoginPlaces& places) {
  const auto key = [](const std::string& name, const std::string& value) {
    return "  <key>" + name + "</key>\n  " + value + "\n";
  };
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
         "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
         "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
         "<!-- " +
         std::string(kMadeByEnable) +
         " -->\n"
         "<plist version=\"1.0\">\n"
         "<dict>\n" +
         key("Label", XmlString(kAgentLabel)) +
         key("ProgramArguments",
             "<array>\n    " + XmlString(places.program) + "\n    " +
                 XmlString("--foreground") + "\n    " + XmlString("--socket") +
                 "\n    " + XmlString(places.socket) + "\n  </array>") +
         // 384 is 0600: a plist has no octal numbers.
         key("Sockets",
             "<dict>\n    <key>control</key>\n    <dict>\n"
             "      <key>SockPathName</key>\n      " +
                 XmlString(places.socket) +
                 "\n      <key>SockPathMode</key>\n"
                 "      <integer>384</integer>\n    </dict>\n  </dict>") +
         key("RunAtLoad", "<true/>") +
         key("KeepAlive",
             "<dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>") +
         key("ProcessType", XmlString("Interactive")) +
         key("AbandonProcessGroup", "<true/>") +
         key("ExitTimeOut", "<integer>60</integer>") +
         key("StandardErrorPath",
             XmlString(places.home + "/Library/Logs/forkserverd.log")) +
         "</dict>\n"
         "</plist>\n";
}

std::string AutostartEntry(const std::string& program) {
  return Comment() +
         "[Desktop Entry]\n"
         "Type=Application\n"
         "Name=forkserverd\n"
         "Comment=The fork server of this session\n"
         "Exec=" +
         QuoteForDesktopEntry(program) +
         "\n"
         "Terminal=false\n"
         "NoDisplay=true\n"
         "StartupNotify=false\n"
         "X-KDE-autostart-phase=0\n";
}

Result<void> CheckProgram(LoginKind kind, const std::string& program) {
  const auto refuse = [&program](const std::string& what) {
    return MakeError(error_code::kBadRequest,
                     "the path of forkserverd " + what + ": " + program,
                     "install it elsewhere, or make a link to it and name the "
                     "link's folder in FORKSERVER_BIN");
  };
  for (const char byte : program) {
    if ((byte >= 0 && byte < ' ') || byte == 0x7f) {
      return refuse("holds a control character");
    }
  }
  if (ValidUtf8(program) != program) return refuse("is not UTF-8");
  // Even quoted: "Executable name contains special characters".
  if (kind == LoginKind::kSystemd &&
      program.find_first_of("\"'\\") != std::string::npos) {
    return refuse("holds a quote or a backslash, which systemd refuses");
  }
  // The desktop entry specification forbids it.
  if (kind == LoginKind::kXdg && program.find('=') != std::string::npos) {
    return refuse("holds a '='");
  }
  return {};
}

}  // namespace

Result<LoginSetup> MakeLoginSetup(LoginKind kind, const LoginPlaces& places) {
  if (auto checked = CheckProgram(kind, places.program); !checked) {
    return checked.error();
  }
  LoginSetup setup = LoginFilesAndLinks(kind, places);
  switch (kind) {
    case LoginKind::kSystemd:
      setup.files[0].text = ServiceUnit(places.program);
      setup.files[1].text = SocketUnit();
      break;
    case LoginKind::kLaunchd:
      setup.files[0].text = LaunchAgent(places);
      break;
    case LoginKind::kXdg:
      setup.files[0].text = AutostartEntry(places.program);
      break;
  }
  return setup;
}

LoginSetup LoginFilesAndLinks(LoginKind kind, const LoginPlaces& places) {
  switch (kind) {
    case LoginKind::kSystemd: {
      const std::string folder = places.config + "/systemd/user/";
      const auto unit = [&](const std::string& name) {
        return LoginFile{folder + name, {}};
      };
      const auto link = [&](const std::string& target,
                            const std::string& name) {
        return LoginLink{folder + target + ".wants/" + name, "../" + name};
      };
      return {{unit(kServiceUnit), unit(kSocketUnit)},
              {link("basic.target", kServiceUnit),
               link("sockets.target", kSocketUnit)}};
    }
    case LoginKind::kLaunchd:
      return {{{places.home + "/Library/LaunchAgents/" + kAgentLabel + ".plist",
                {}}},
              {}};
    case LoginKind::kXdg:
      return {{{places.config + "/autostart/forkserverd.desktop", {}}}, {}};
  }
  return {};
}

}  // namespace forkserver::cli
