// Where datagrams go, and what is asked of the sockets that they leave from.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <map>

struct Destination {
  int fd = -1;  // none: what is sent is dropped and counted
  sockaddr_storage address = {};
  socklen_t addressLength = 0;
  bool cuts = true;  // false: on the way there (a tunnel's MTU, a device) messages are not cut
  // Of the list of what waits, as indexes; -1 is none.
  int head = -1;
  int tail = -1;
};

inline int64_t nowUs() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

// A keyframe to some thousand viewers.
constexpr int kSendBuffer = 8 * 1024 * 1024;

// Asks for a large send buffer; what the kernel grants, in bytes as they were asked for (it counts double).
inline int askForSendBuffer(int fd) {
  int granted = 0;
  socklen_t length = sizeof granted;
  getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &granted, &length);
  if (granted / 2 >= kSendBuffer) return granted / 2;
  // The first one may go beyond net.core.wmem_max, and needs a privilege.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  }
  length = sizeof granted;
  getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &granted, &length);
  return granted / 2;
}

// The sockets that destinations name. A descriptor that nobody names any more may be another socket when it comes back.
class Sockets {
 public:
  // Returns what is granted to a socket that was not in use before, else -1.
  int use(int fd) {
    if (fd < 0 || users_[fd]++ > 0) return -1;
    return askForSendBuffer(fd);
  }
  void drop(int fd) {
    const auto found = users_.find(fd);
    if (found != users_.end() && --found->second == 0) users_.erase(found);
  }

 private:
  std::map<int, int> users_;
};
