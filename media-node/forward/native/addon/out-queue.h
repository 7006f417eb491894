// Datagrams on their way to the kernel. Each goes to its destination's own list, and `flush` hands over one list after
// the other: order is kept for a destination, and equally long datagrams in a row leave as one message that the kernel
// cuts (UDP_SEGMENT, "GSO"), which is most of what a packet costs.
#pragma once
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

struct Destination {
  int fd = -1;  // none: what is sent is dropped and counted
  sockaddr_storage address = {};
  socklen_t addressLength = 0;
  // Of the list of what waits, as indexes; -1 is none.
  int head = -1;
  int tail = -1;
};

struct Counters {
  double packets = 0, bytes = 0, failed = 0, systemCalls = 0, segmented = 0, waits = 0;
};

class OutQueue {
 public:
  Counters counters;

  // Room for one datagram of up to `length` bytes (less than kArena); valid until `commit`.
  uint8_t* reserve(size_t length) {
    if (arena_ == nullptr) arena_.reset(new uint8_t[kArena]);
    if (used_ + length > kArena || entries_.size() >= kEntries) flush();
    return arena_.get() + used_;
  }

  // Queues the first `length` bytes of what `reserve` gave.
  void commit(Destination* to, size_t length) {
    if (to->fd < 0) {
      counters.failed++;
      return;
    }
    const int index = int(entries_.size());
    entries_.push_back({uint32_t(used_), uint32_t(length), -1});
    used_ += (length + 15) & ~size_t(15);
    if (to->head < 0) {
      to->head = index;
      waiting_.push_back(to);
    } else {
      entries_[size_t(to->tail)].next = index;
    }
    to->tail = index;
  }

  // Everything has left, or was dropped and counted, when it returns; no list holds anything then.
  void flush() {
    size_t begin = 0;
    while (begin < waiting_.size()) {
      const int fd = waiting_[begin]->fd;
      messageCount_ = vectorCount_ = 0;
      size_t at = begin;
      for (; at < waiting_.size() && waiting_[at]->fd == fd; at++) addMessages(fd, waiting_[at]);
      sendMessages(fd);
      begin = at;
    }
    for (auto* destination : waiting_) destination->head = destination->tail = -1;
    waiting_.clear();
    entries_.clear();
    used_ = 0;
    pollsLeft_ = kPolls;
  }

 private:
  static constexpr size_t kArena = 2 * 1024 * 1024;
  static constexpr size_t kEntries = 4096;
  static constexpr size_t kBatch = 512;           // messages per system call
  static constexpr size_t kMaxSegments = 60;      // the kernel takes 64
  static constexpr size_t kMaxMessage = 60'000;   // below what a UDP length can say
  static constexpr size_t kMaxSegment = 1'400;    // longer ones may need fragments, and the kernel refuses to cut those
  static constexpr int kSegmentFailures = 4;      // without one success between them: this kernel or device cannot
  static constexpr int kPolls = 3;                // of kPollMs each per flush, when a socket's buffer is full
  static constexpr int kPollMs = 1;

  struct Entry {
    uint32_t offset, length;
    int next;
  };
  union Control {
    cmsghdr header;
    char space[CMSG_SPACE(sizeof(uint16_t))];
  };

  void addMessages(int fd, Destination* to) {
    for (int at = to->head; at >= 0;) {
      if (messageCount_ == kBatch || vectorCount_ + kMaxSegments > kVectors) sendMessages(fd);
      const size_t segment = entries_[size_t(at)].length;
      const size_t first = vectorCount_;
      size_t total = 0;
      // All of one length; only the last of them may be shorter.
      for (bool open = true; at >= 0 && open; at = entries_[size_t(at)].next) {
        const Entry& entry = entries_[size_t(at)];
        const bool fits = vectorCount_ == first ||
                          (segments_ && segment <= kMaxSegment && entry.length <= segment &&
                           vectorCount_ - first < kMaxSegments && total + entry.length <= kMaxMessage);
        if (!fits) break;
        vectors_[vectorCount_++] = {arena_.get() + entry.offset, entry.length};
        total += entry.length;
        open = entry.length == segment;
      }
      addMessage(to, first, vectorCount_ - first, uint16_t(segment));
    }
  }

  void addMessage(Destination* to, size_t first, size_t count, uint16_t segment) {
    msghdr& header = messages_[messageCount_].msg_hdr;
    header = {};
    header.msg_name = &to->address;
    header.msg_namelen = to->addressLength;
    header.msg_iov = &vectors_[first];
    header.msg_iovlen = count;
    if (count > 1) {
      Control& control = controls_[messageCount_];
      memset(&control, 0, sizeof control);
      control.header.cmsg_level = SOL_UDP;
      control.header.cmsg_type = UDP_SEGMENT;
      control.header.cmsg_len = CMSG_LEN(sizeof(uint16_t));
      memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
      header.msg_control = &control;
      header.msg_controllen = sizeof control.space;
    }
    messageCount_++;
  }

  void sendMessages(int fd) {
    size_t done = 0;
    while (done < messageCount_) {
      const int sent = sendSome(fd, &messages_[done], messageCount_ - done);
      if (sent > 0) {
        for (int i = 0; i < sent; i++) countSent(messages_[done + size_t(i)].msg_hdr);
        done += size_t(sent);
      } else if (!mayRetry(fd)) {
        giveUp(fd, messages_[done++].msg_hdr);
      }
    }
    messageCount_ = vectorCount_ = 0;
  }

  // How many left, or -1 with errno.
  int sendSome(int fd, mmsghdr* messages, size_t count) {
    counters.systemCalls++;
    if (batches_) {
      const int sent = sendmmsg(fd, messages, unsigned(count), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0 || errno != ENOSYS) return sent;
      batches_ = false;
    }
    return sendmsg(fd, &messages[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
  }

  bool mayRetry(int fd) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if (pollsLeft_ == 0) return false;
    pollsLeft_--;
    counters.waits++;
    pollfd wanted = {fd, POLLOUT, 0};
    poll(&wanted, 1, kPollMs);
    errno = EAGAIN;
    return true;
  }

  // The kernel refused this message. What it refuses to cut is sent piece by piece; else it is lost.
  void giveUp(int fd, const msghdr& message) {
    const bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
    if (message.msg_iovlen == 1 || full) {
      counters.failed += double(message.msg_iovlen);
      return;
    }
    if (++segmentFailures_ >= kSegmentFailures) segments_ = false;
    for (size_t i = 0; i < message.msg_iovlen; i++) {
      msghdr single = message;
      single.msg_iov = &message.msg_iov[i];
      single.msg_iovlen = 1;
      single.msg_control = nullptr;
      single.msg_controllen = 0;
      counters.systemCalls++;
      if (sendmsg(fd, &single, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) counters.failed++;
      else countSent(single);
    }
  }

  void countSent(const msghdr& message) {
    counters.packets += double(message.msg_iovlen);
    for (size_t i = 0; i < message.msg_iovlen; i++) counters.bytes += double(message.msg_iov[i].iov_len);
    if (message.msg_iovlen < 2) return;
    counters.segmented += double(message.msg_iovlen);
    segmentFailures_ = 0;
  }

  static constexpr size_t kVectors = 4 * kBatch;
  std::unique_ptr<uint8_t[]> arena_;
  size_t used_ = 0;
  std::vector<Entry> entries_;
  std::vector<Destination*> waiting_;
  mmsghdr messages_[kBatch];
  iovec vectors_[kVectors];
  Control controls_[kBatch];
  size_t messageCount_ = 0, vectorCount_ = 0;
  bool batches_ = true, segments_ = true;
  int segmentFailures_ = 0;
  int pollsLeft_ = kPolls;
};
