// Protected datagrams on their way to the kernel. Each goes to its destination's own list, and `flush` hands over one
// list after the other: order is kept for a destination, and equally long datagrams in a row leave as one message that
// the kernel cuts (UDP_SEGMENT, "GSO"), which is most of what a packet costs. Nothing here blocks: what a full socket
// does not take waits for the next `flush`.
#pragma once
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "counters.h"
#include "destination.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

class OutQueue {
 public:
  explicit OutQueue(Counters& counters) : counters_(counters) {}

  // A socket was full and has not been tried since.
  bool blocked() const { return !full_.empty(); }

  // Room for one datagram of up to `length` bytes; valid until `commit`. Null while a full socket's datagrams take it all.
  uint8_t* reserve(size_t length) {
    if (arena_ == nullptr) arena_.reset(new uint8_t[kArena]);
    if (!hasRoom(length) && !blocked()) flush();
    return hasRoom(length) ? arena_.get() + used_ : nullptr;
  }

  // Queues the first `length` bytes of what `reserve` gave.
  void commit(Destination* to, size_t length) {
    if (to->fd < 0) {
      counters_.failed++;
      return;
    }
    const int index = int(entries_.size());
    entries_.push_back({uint32_t(used_), uint32_t(length), -1});
    used_ += length;  // no gaps: what is one message is mostly one piece of memory
    if (to->head < 0) {
      to->head = index;
      waiting_.push_back(to);
    } else {
      entries_[size_t(to->tail)].next = index;
    }
    to->tail = index;
  }

  // True: nothing waits any more. False: a socket is full; call again in a millisecond or so. The others get what is theirs.
  bool flush() {
    messageCount_ = vectorCount_ = 0;
    fd_ = -1;
    for (auto& each : full_) each.isTried = false;
    for (auto* destination : waiting_) {
      if (destination->fd != fd_) sendMessages();
      fd_ = destination->fd;
      const Full* full = fullOne(fd_);
      if (full == nullptr || !full->isTried) addMessages(destination);
    }
    sendMessages();
    const int64_t now = nowUs();
    for (const auto& each : full_) {
      if (each.isTried && now - each.sinceUs > kStuckUs) giveUpAll(each.fd);
    }
    full_.erase(std::remove_if(full_.begin(), full_.end(),
                               [now](const Full& each) { return !each.isTried || now - each.sinceUs > kStuckUs; }),
                full_.end());
    keepWaiting();
    return !blocked();
  }

  // Drops and counts what still waits for a destination that ends or moves.
  void forget(Destination* to) {
    if (to->head < 0) return;
    dropList(to);
    keepWaiting();
  }

 private:
  static constexpr size_t kArena = 1024 * 1024;
  static constexpr size_t kEntries = 4096;
  static constexpr size_t kBatch = 512;          // messages per system call
  static constexpr size_t kMaxSegments = 60;     // the kernel takes 64
  static constexpr size_t kMaxMessage = 60'000;  // below what a UDP length can say
  static constexpr size_t kMaxSegment = 1'400;   // longer ones may need fragments, and the kernel refuses to cut those
  static constexpr int kSegmentFailures = 4;     // destinations, without one success between them: this kernel cannot
  static constexpr int64_t kStuckUs = 200'000;   // a socket that takes nothing for so long is not worth waiting for

  struct Full {
    int fd;
    int64_t sinceUs;  // it has taken nothing
    bool isTried;     // in this flush: no more of it
  };
  struct Entry {
    uint32_t offset, length;
    int next;
  };
  union Control {
    cmsghdr header;
    char space[CMSG_SPACE(sizeof(uint16_t))];
  };
  // To whom a message goes, of how many datagrams it is, and what is to be sent there after it.
  struct Mark {
    Destination* to;
    int next;
    uint32_t datagrams;
  };

  bool hasRoom(size_t length) const { return used_ + length <= kArena && entries_.size() < kEntries; }

  void dropList(Destination* to) {
    for (int at = to->head; at >= 0; at = entries_[size_t(at)].next) counters_.dropped++;
    to->head = to->tail = -1;
  }

  Full* fullOne(int fd) {
    for (auto& each : full_) {
      if (each.fd == fd) return &each;
    }
    return nullptr;
  }

  void noteFull() {
    counters_.waits++;
    Full* full = fullOne(fd_);
    if (full == nullptr) full_.push_back({fd_, nowUs(), true});
    else full->isTried = true;
  }
  // The socket has taken something.
  void noteRoom() {
    Full* full = fullOne(fd_);
    if (full == nullptr) return;
    *full = full_.back();
    full_.pop_back();
  }

  // All that waits for this socket.
  void giveUpAll(int fd) {
    for (auto* destination : waiting_) {
      if (destination->fd == fd) dropList(destination);
    }
  }

  // Takes out of the list who waits no more; room comes back when nobody does.
  void keepWaiting() {
    size_t kept = 0;
    for (auto* destination : waiting_) {
      if (destination->head >= 0) waiting_[kept++] = destination;
    }
    waiting_.resize(kept);
    if (kept > 0) return;
    entries_.clear();
    used_ = 0;
    full_.clear();
  }

  // False: stop, its socket is full.
  bool addMessages(Destination* to) {
    for (int at = to->head; at >= 0;) {
      if ((messageCount_ == kBatch || vectorCount_ + kMaxSegments > kVectors) && !sendMessages()) return false;
      const size_t segment = entries_[size_t(at)].length;
      const size_t first = vectorCount_;
      size_t total = 0;
      uint32_t datagrams = 0;
      // All of one length; only the last of them may be shorter.
      for (bool open = true; at >= 0 && open; at = entries_[size_t(at)].next) {
        const Entry& entry = entries_[size_t(at)];
        const bool fits = datagrams == 0 || (segments_ && to->cuts && segment <= kMaxSegment && entry.length <= segment &&
                                             datagrams < kMaxSegments && total + entry.length <= kMaxMessage);
        if (!fits) break;
        addBytes(first, arena_.get() + entry.offset, entry.length);
        total += entry.length;
        datagrams++;
        open = entry.length == segment;
      }
      addMessage({to, at, datagrams}, first, uint16_t(segment));
    }
    return true;
  }

  // To the message whose vectors begin at `first`.
  void addBytes(size_t first, uint8_t* bytes, size_t length) {
    if (vectorCount_ > first) {
      iovec& last = vectors_[vectorCount_ - 1];
      if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == bytes) {
        last.iov_len += length;
        return;
      }
    }
    vectors_[vectorCount_++] = {bytes, length};
  }

  void addMessage(Mark mark, size_t first, uint16_t segment) {
    msghdr& header = messages_[messageCount_].msg_hdr;
    header = {};
    header.msg_name = &mark.to->address;
    header.msg_namelen = mark.to->addressLength;
    header.msg_iov = &vectors_[first];
    header.msg_iovlen = vectorCount_ - first;
    if (mark.datagrams > 1) {
      Control& control = controls_[messageCount_];
      memset(&control, 0, sizeof control);
      control.header.cmsg_level = SOL_UDP;
      control.header.cmsg_type = UDP_SEGMENT;
      control.header.cmsg_len = CMSG_LEN(sizeof(uint16_t));
      memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
      header.msg_control = &control;
      header.msg_controllen = sizeof control.space;
    }
    marks_[messageCount_++] = mark;
  }

  // Hands over what was added, all for `fd_`. False: its buffer is full; what was not taken stays in the lists.
  bool sendMessages() {
    size_t done = 0;
    const size_t count = messageCount_;
    while (done < messageCount_) {
      const int sent = sendSome(&messages_[done], messageCount_ - done);
      if (sent > 0) {
        noteRoom();
        for (int i = 0; i < sent; i++, done++) {
          countSent(messages_[done].msg_hdr, marks_[done].datagrams);
          advance(marks_[done]);
        }
      } else if (isFull()) {
        noteFull();
        break;
      } else if (errno != EINTR) {
        giveUp(messages_[done].msg_hdr, marks_[done]);
        advance(marks_[done++]);
      }
    }
    messageCount_ = vectorCount_ = 0;
    return done == count;
  }

  static void advance(const Mark& mark) {
    mark.to->head = mark.next;
    if (mark.next < 0) mark.to->tail = -1;
  }

  // ENOBUFS: the device's queue is full.
  static bool isFull() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS; }

  // What a firewall says, and who has no way or no memory: nothing of which is about cutting.
  static bool isAboutTheWay() {
    return errno == EPERM || errno == EACCES || errno == ENETUNREACH || errno == EHOSTUNREACH || errno == ENETDOWN ||
           errno == ENOMEM;
  }

  // How many left, or -1 with errno.
  int sendSome(mmsghdr* messages, size_t count) {
    counters_.systemCalls++;
    if (batches_) {
      const int sent = sendmmsg(fd_, messages, unsigned(count), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0 || errno != ENOSYS) return sent;
      batches_ = false;
    }
    return sendmsg(fd_, &messages[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
  }

  // The kernel refused this message. What it refuses to cut is sent piece by piece; else it is lost. Only when pieces get
  // through may it be the cutting: a firewall, or a way that is gone, says nothing of what the kernel can do.
  void giveUp(const msghdr& message, const Mark& mark) {
    if (mark.datagrams == 1) {
      counters_.failed++;
      return;
    }
    const bool mayBeCutting = !isAboutTheWay();
    bool gotThrough = false;
    int at = mark.to->head;
    for (uint32_t i = 0; i < mark.datagrams; i++, at = entries_[size_t(at)].next) {
      iovec vector = {arena_.get() + entries_[size_t(at)].offset, entries_[size_t(at)].length};
      msghdr single = message;
      single.msg_iov = &vector;
      single.msg_iovlen = 1;
      single.msg_control = nullptr;
      single.msg_controllen = 0;
      counters_.systemCalls++;
      if (sendmsg(fd_, &single, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        counters_.failed++;
      } else {
        gotThrough = true;
        countSent(single, 1);
      }
    }
    if (!gotThrough || !mayBeCutting) return;
    mark.to->cuts = false;
    if (++segmentFailures_ >= kSegmentFailures) segments_ = false;
  }

  void countSent(const msghdr& message, uint32_t datagrams) {
    counters_.messages++;
    counters_.packets += datagrams;
    for (size_t i = 0; i < message.msg_iovlen; i++) counters_.bytes += double(message.msg_iov[i].iov_len);
    if (datagrams < 2) return;
    counters_.segmented += datagrams;
    segmentFailures_ = 0;
  }

  static constexpr size_t kVectors = 4 * kBatch;
  Counters& counters_;
  std::unique_ptr<uint8_t[]> arena_;
  size_t used_ = 0;
  std::vector<Entry> entries_;
  std::vector<Destination*> waiting_;
  mmsghdr messages_[kBatch];
  Mark marks_[kBatch];
  iovec vectors_[kVectors];
  Control controls_[kBatch];
  size_t messageCount_ = 0, vectorCount_ = 0;
  int fd_ = -1;
  bool batches_ = true, segments_ = true;
  int segmentFailures_ = 0;
  std::vector<Full> full_;  // a few at most: a node has a socket for each of its addresses
};
