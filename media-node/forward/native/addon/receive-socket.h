// A UDP socket that is read in batches: up to kSlots datagrams per system call, each into its slot of a slab.
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "receive-address.h"

constexpr size_t kSlots = 64;
constexpr size_t kSlotBytes = 2048;

// Of ../receive-methods.ts.
struct ReceiveCounters {
  double calls = 0, datagrams = 0, tooLong = 0;
};

class UdpSocket {
 public:
  AddressTable addresses;
  ReceiveCounters counters;

  UdpSocket() = default;
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;
  ~UdpSocket() { shut(); }
  void shut() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // Binds to exactly this address, IPv6 without IPv4; 0, or the kernel's errno.
  int open(const Address& local, int receiveBytes, int sendBytes) {
    fd_ = socket(local.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return errno;
    const int on = 1;
    if (local.family() == AF_INET6 && setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) return errno;
    setBuffer(SO_RCVBUF, SO_RCVBUFFORCE, receiveBytes);
    setBuffer(SO_SNDBUF, SO_SNDBUFFORCE, sendBytes);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&local.storage), local.length) != 0) return errno;
    Address bound;
    bound.length = sizeof bound.storage;
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) return errno;
    port_ = bound.port();
    for (size_t i = 0; i < kSlots; i++) {
      messages_[i] = {};
      messages_[i].msg_hdr.msg_name = &from_[i].storage;
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    return 0;
  }

  int fd() const { return fd_; }
  uint16_t port() const { return port_; }
  // What the kernel granted, in bytes of payload: it doubles what it is asked for, for its own needs.
  int granted(int option) const {
    int bytes = 0;
    socklen_t length = sizeof bytes;
    return getsockopt(fd_, SOL_SOCKET, option, &bytes, &length) == 0 ? bytes / 2 : 0;
  }
  // Datagrams that came and found no room.
  double overflowed() const {
    constexpr int kMemInfo = 55, kDrops = 8;  // SO_MEMINFO, SK_MEMINFO_DROPS
    uint32_t values[16] = {};
    socklen_t length = sizeof values;
    return getsockopt(fd_, SOL_SOCKET, kMemInfo, values, &length) == 0 ? double(values[kDrops]) : 0;
  }

  // Reads what is there into the slab of kSlots slots; returns how many came.
  size_t receive(uint8_t* slab) {
    for (size_t i = 0; i < kSlots; i++) {
      vectors_[i] = {slab + i * kSlotBytes, kSlotBytes};
      messages_[i].msg_hdr.msg_namelen = sizeof from_[i].storage;
      messages_[i].msg_hdr.msg_flags = 0;
    }
    int count = -1;
    if (batches_) {
      do {
        counters.calls++;
        count = recvmmsg(fd_, messages_, kSlots, MSG_DONTWAIT, nullptr);
      } while (count < 0 && errno == EINTR);
      if (count < 0 && errno == ENOSYS) batches_ = false;
    }
    if (!batches_) count = receiveSingly();
    for (int i = 0; i < count; i++) from_[i].length = messages_[i].msg_hdr.msg_namelen;
    if (count > 0) counters.datagrams += count;
    return count > 0 ? size_t(count) : 0;
  }
  const Address& from(size_t slot) const { return from_[slot]; }
  // 0 for one that did not fit.
  size_t length(size_t slot) {
    if ((messages_[slot].msg_hdr.msg_flags & MSG_TRUNC) == 0) return messages_[slot].msg_len;
    counters.tooLong++;
    return 0;
  }

  // 0, or errno.
  int send(const Address& to, const uint8_t* data, size_t length) {
    for (;;) {
      const auto* address = reinterpret_cast<const sockaddr*>(&to.storage);
      if (sendto(fd_, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, address, to.length) >= 0) return 0;
      if (errno != EINTR) return errno;
    }
  }

 private:
  void setBuffer(int option, int forced, int bytes) {
    // Beyond the limit of the system only with CAP_NET_ADMIN.
    if (setsockopt(fd_, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
      setsockopt(fd_, SOL_SOCKET, option, &bytes, sizeof bytes);
    }
  }
  int receiveSingly() {
    int count = 0;
    while (count < int(kSlots)) {
      counters.calls++;
      const ssize_t length = recvmsg(fd_, &messages_[count].msg_hdr, MSG_DONTWAIT);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) break;
      messages_[count++].msg_len = unsigned(length);
    }
    return count;
  }
  int fd_ = -1;
  uint16_t port_ = 0;
  bool batches_ = true;
  mmsghdr messages_[kSlots];
  iovec vectors_[kSlots];
  Address from_[kSlots];
};
