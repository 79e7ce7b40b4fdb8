// The part of Session that makes workers and tells how they ended.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/base/unix_socket.h"
#include "sdk/cpp/session.h"
