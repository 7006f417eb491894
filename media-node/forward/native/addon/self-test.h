// Sends datagrams to itself, as an engine would: whether they leave and come, whole and in order, on this kernel.
#pragma once
#include <poll.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "out-queue.h"

class LoopbackTest {
 public:
  LoopbackTest() : from_(open()), to_(open()) {}
  LoopbackTest(const LoopbackTest&) = delete;
  LoopbackTest& operator=(const LoopbackTest&) = delete;
  ~LoopbackTest() {
    close(from_);
    close(to_);
  }

  // Whether the kernel cut messages. Throws std::runtime_error when something did not come as it was sent.
  bool run() {
    Destination destination;
    destination.fd = from_;
    destination.addressLength = sizeof destination.address;
    check(getsockname(to_, reinterpret_cast<sockaddr*>(&destination.address), &destination.addressLength) == 0,
          "has no address");
    Counters counters;
    OutQueue queue(counters);
    for (size_t i = 0; i < kCount; i++) {
      uint8_t* datagram = queue.reserve(kLength);
      check(datagram != nullptr, "takes nothing");
      memset(datagram, int(i + 1), kLength);
      queue.commit(&destination, lengthOf(i));
    }
    queue.flush();
    for (size_t i = 0; i < kCount; i++) receive(i);
    return counters.segmented > 0;
  }

 private:
  static constexpr size_t kCount = 5;
  static constexpr size_t kLength = 1000;
  static constexpr int kPatienceMs = 200;

  // The last of a message may be shorter.
  static size_t lengthOf(size_t index) { return index + 1 == kCount ? kLength / 2 : kLength; }

  static int open() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in loopback = {};
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0, "cannot be opened");
    return fd;
  }

  void receive(size_t index) {
    uint8_t datagram[kLength + 1];
    pollfd wanted = {to_, POLLIN, 0};
    poll(&wanted, 1, kPatienceMs);
    const ssize_t length = recv(to_, datagram, sizeof datagram, 0);
    check(length == ssize_t(lengthOf(index)) && datagram[0] == index + 1 && datagram[length - 1] == index + 1,
          "lost or changed what was sent to itself");
  }

  static void check(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("a UDP socket ") + what);
  }

  const int from_, to_;
};
