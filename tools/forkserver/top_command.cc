#include "tools/forkserver/top_command.h"

#include <forkserver/client.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/signal_pipe.h"
#include "tools/forkserver/top_sampler.h"
#include "tools/forkserver/top_table.h"
#include "tools/terminal/full_screen.h"
#include "tools/terminal/keyboard.h"
#include "tools/terminal/terminal_look.h"

namespace forkserver::cli {
namespace {

using Clock = std::chrono::steady_clock;

Result<std::vector<TopRow>> TakeSample(Client& client, TopSampler& sampler) {
  Result<Snapshot> snapshot = client.List();
  if (!snapshot) return snapshot.error();
  return sampler.Take(*snapshot);
}

int PrintOnce(const Options& options, Client& client, TopSampler& sampler) {
  Result<std::vector<TopRow>> rows = TakeSample(client, sampler);
  if (!rows) return Fail(rows.error());
  std::this_thread::sleep_for(options.interval);
  rows = TakeSample(client, sampler);
  if (!rows) return Fail(rows.error());
  Sort(*rows, TopOrder::kCpu);
  if (options.json) {
    PrintLine(ToJson(*rows));
  } else {
    PrintTable(TopCells(*rows, /*utf8=*/true));
  }
  return kOk;
}

// INT, TERM and the like are left to terminal_guard.h, which gives the terminal
// back and lets them end this process, even while a daemon is waited for that
// does not answer.
class LiveTop {
 public:
  LiveTop(std::chrono::milliseconds interval, Client& client,
          TopSampler& sampler, SignalPipe& signals, TopTable table,
          TerminalLook look)
      : interval_(interval),
        client_(client),
        sampler_(sampler),
        signals_(signals),
        table_(std::move(table)),
        look_(look),
        screen_(STDOUT_FILENO),
        keyboard_(STDIN_FILENO) {}

  // Until it is told to end, or the daemon is lost.
  Result<void> Run() {
    for (;;) {
      keyboard_.Refresh();
      // In the background the terminal belongs to somebody else. It looks now
      // and then whether it still does.
      std::chrono::milliseconds wait = interval_;
      if (IsForeground(STDOUT_FILENO)) {
        if (auto drawn = Draw(); !drawn) return drawn;
        wait =
            std::chrono::ceil<std::chrono::milliseconds>(next_ - Clock::now());
      }
      pollfd polled[] = {{signals_.descriptor(), POLLIN, 0},
                         {keyboard_.descriptor(), POLLIN, 0},
                         {client_.descriptor(), POLLIN, 0},
                         {STDOUT_FILENO, 0, 0}};
      // The signals that interrupt it are in the pipe.
      if (::poll(polled, 4, ToTimeout(wait)) <= 0) continue;
      for (const int signal : signals_.Take()) OnSignal(signal);
      if (!table_.OnKeys(keyboard_.Take())) return {};
      if (auto processed = client_.Process(); !processed) return processed;
      // Nobody looks any more, and HUP is ignored.
      if ((polled[3].revents & (POLLHUP | POLLERR)) != 0) return {};
    }
  }

 private:
  Result<void> Draw() {
    if (Clock::now() >= next_) {
      Result<std::vector<TopRow>> rows = TakeSample(client_, sampler_);
      if (!rows) return rows.error();
      table_.Show(std::move(*rows));
      next_ = Clock::now() + interval_;
    }
    UpdateSize(STDOUT_FILENO, look_);
    screen_.Draw(table_.Lines(look_));
    return {};
  }

  // An interval may be longer than poll(2) can wait.
  static int ToTimeout(std::chrono::milliseconds wait) {
    constexpr std::int64_t kLongestMs = 60'000;
    return static_cast<int>(
        std::clamp<std::int64_t>(wait.count(), 0, kLongestMs));
  }

  void OnSignal(int signal) {
    // WINCH: it is drawn anew in any case.
    if (signal == SIGTSTP) Suspend();
    if (signal == SIGCONT) Resume();
  }

  void Suspend() {
    screen_.Leave();
    keyboard_.Suspend();
    // Not SIGSTOP: where no shell could continue it, the kernel ignores this.
    SignalPipe::TakeDefaultAction(SIGTSTP);
    Resume();
  }

  void Resume() {
    keyboard_.Resume();
    next_ = Clock::now();
  }

  const std::chrono::milliseconds interval_;
  Client& client_;
  TopSampler& sampler_;
  SignalPipe& signals_;
  TopTable table_;
  TerminalLook look_;
  FullScreen screen_;
  Keyboard keyboard_;
  Clock::time_point next_ = Clock::now();
};

Result<void> ShowLive(const Options& options, Client& client,
                      TopSampler& sampler, const DaemonStatus& status,
                      const TerminalLook& look) {
  auto signals = SignalPipe::Open({SIGWINCH, SIGTSTP, SIGCONT});
  if (!signals) return signals.error();
  TopTable table("forkserverd " + status.version + ", pid " +
                 std::to_string(status.pid));
  return LiveTop(options.interval, client, sampler, *signals, std::move(table),
                 look)
      .Run();
}

}  // namespace

int ShowTop(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<DaemonStatus> status = client->Status();
  if (!status) return Fail(status.error());
  TopSampler sampler(static_cast<pid_t>(status->pid));
  const TerminalLook look = LookOf(STDOUT_FILENO, ColorChoice::kAuto);
  if (options.json || !look.live) return PrintOnce(options, *client, sampler);
  const auto shown = ShowLive(options, *client, sampler, *status, look);
  // By now the terminal is as it was.
  return shown ? kOk : Fail(shown.error());
}

}  // namespace forkserver::cli
