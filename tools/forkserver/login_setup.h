// What makes a login start forkserverd, as files and links: units of systemd's
// user manager, an agent of launchd, an entry of XDG autostart. Texts only;
// login_changes.h writes them. docs/session_start.md says why they are so.
#pragma once

#include <forkserver/result.h>

#include <string>
#include <vector>

namespace forkserver::cli {

enum class LoginKind { kSystemd, kLaunchd, kXdg };

struct LoginFile {
  std::string path;
  std::string text;
};

struct LoginLink {
  std::string path;
  std::string target;  // as it is stored: relative to the link's folder
};

struct LoginSetup {
  std::vector<LoginFile> files;
  std::vector<LoginLink> links;
};

// Absolute paths of this user.
struct LoginPlaces {
  std::string home;
  std::string config;   // $XDG_CONFIG_HOME or ~/.config
  std::string program;  // forkserverd
  std::string socket;   // that every SDK looks for
};

// A line of every file holds it: only such files are replaced or removed.
inline constexpr char kMadeByEnable[] =
    "Made by `forkserver enable`; `forkserver disable` removes it.";

inline constexpr char kServiceUnit[] = "forkserverd.service";
inline constexpr char kSocketUnit[] = "forkserverd.socket";
inline constexpr char kAgentLabel[] = "forkserver.forkserverd";

// Error "bad_request" if the path of the program cannot be written in such a
// file.
Result<LoginSetup> MakeLoginSetup(LoginKind kind, const LoginPlaces& places);

// The same without the texts, whatever the program is: for removing.
LoginSetup LoginFilesAndLinks(LoginKind kind, const LoginPlaces& places);

}  // namespace forkserver::cli
