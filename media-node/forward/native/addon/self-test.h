// Sends datagrams to itself, as an engine would: whether they leave and come, whole and in order, on this kernel.
#pragma once
#include <poll.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "out-queue.h"

class LoopbackTest {
 public:

  // Whether the kernel cut messages. Throws std::runtime_error when something did not come as it was sent.
  bool run() {
    const Socket from, to;
    // Others on this machine may send to any port of it.
    const Destination sender = at(from);
    check(connect(to.fd, reinterpret_cast<const sockaddr*>(&sender.address), sender.addressLength) == 0,
          "cannot be connected");
    Destination destination = at(to);
    destination.fd = from.fd;
    Counters counters;
    OutQueue queue(counters);
    for (size_t i = 0; i < kCount; i++) {
      uint8_t* datagram = queue.reserve(kLength);
      check(datagram != nullptr, "takes nothing");
      memset(datagram, int(i + 1), kLength);
      queue.commit(&destination, lengthOf(i));
    }
    queue.flush();
    for (size_t i = 0; i < kCount; i++) receive(to.fd, i);
    return counters.segmented > 0;
  }

 private:
  static constexpr size_t kCount = 5;
  static constexpr size_t kLength = 1000;
  static constexpr int kPatienceMs = 200;

  // The last of a message may be shorter.
  static size_t lengthOf(size_t index) { return index + 1 == kCount ? kLength / 2 : kLength; }

  // On loopback; closed on every way out.
  struct Socket {
    Socket() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
      sockaddr_in loopback = {};
      loopback.sin_family = AF_INET;
      loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0) return;
      if (fd >= 0) close(fd);
      check(false, "cannot be opened");
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { close(fd); }
    const int fd;
  };

  static Destination at(const Socket& socket) {
    Destination there;
    there.addressLength = sizeof there.address;
    check(getsockname(socket.fd, reinterpret_cast<sockaddr*>(&there.address), &there.addressLength) == 0,
          "has no address");
    return there;
  }

  static void receive(int fd, size_t index) {
    uint8_t datagram[kLength + 1];
    pollfd wanted = {fd, POLLIN, 0};
    // A signal that is handled meanwhile is no reason to give up.
    while (poll(&wanted, 1, kPatienceMs) < 0 && errno == EINTR) {
    }
    const ssize_t length = recv(fd, datagram, sizeof datagram, 0);
    check(length == ssize_t(lengthOf(index)) && datagram[0] == index + 1 && datagram[length - 1] == index + 1,
          "lost or changed what was sent to itself");
  }

  static void check(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("a UDP socket ") + what);
  }
};
