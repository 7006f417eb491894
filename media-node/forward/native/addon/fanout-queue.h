// Packets that wait to be sent to their groups. A packet waits once, in the clear, and not once for each viewer; each
// viewer gets all that waits for it in one go, which is one message when the kernel cuts it. The work is done in slices,
// so that what comes in is read between them, and never ahead of what the sockets take.
#pragma once
#include <algorithm>

#include "out-queue.h"
#include "session.h"

class FanoutQueue {
 public:
  FanoutQueue(Counters& counters, OutQueue& out) : counters_(counters), out_(out) {}

  // False: the packet is held for those that follow it in its frame.
  bool add(Group& group, Job job) {
    if (group.sinks.empty()) return true;
    const bool endsFrame = !group.framed || job.packet.marker;
    measure(job.cameUs, double(group.sinks.size()));
    const bool isFirst = group.jobs.empty();
    const bool holds = !endsFrame && isBusy_ && (isFirst || group.dueUs > 0);
    if (!holds) group.dueUs = 0;
    else if (isFirst) group.dueUs = job.cameUs + kHoldUs;
    if (group.jobs.size() >= kMaxJobs) {
      group.jobs.pop_front();
      group.base++;
    }
    group.jobs.push_back(std::move(job));
    if (!group.listed) listed_.push_back(&group);
    group.listed = true;
    return !holds;
  }

  // Everything that waits for this sink goes to its destination's list. False: a full socket leaves no room for all of it.
  bool catchUp(Sink& sink) {
    if (sink.group == nullptr) return true;
    sendTo(sink, *sink.group, nowUs());
    return sink.cursor == sink.group->end();
  }
  // The same for one that will not be asked again: what there is no room for is dropped.
  void finish(Sink& sink) {
    if (catchUp(sink)) return;
    const double lost = double(sink.group->end() - sink.cursor);
    counters_.dropped += lost;
    counters_.noRoom += lost;
    sink.cursor = sink.group->end();
  }

  void forget(Group& group) {
    group.forgetJobs();
    if (!group.listed) return;
    listed_.erase(std::find(listed_.begin(), listed_.end(), &group));
    group.listed = false;
  }

  // Does a slice of the work. Returns in how many milliseconds to call again: 0 never, -1 in the next turn of the loop.
  double work() {
    const int64_t now = nowUs();
    if (!out_.flush()) return kRetryMs;
    size_t budget = kSlice;
    for (size_t left = listed_.size(); left > 0 && budget > 0; left--) {
      if (at_ >= listed_.size()) at_ = 0;
      Group& group = *listed_[at_];
      if (group.dueUs > now) {
        at_++;
        continue;
      }
      if (!serve(group, now, budget)) break;
      if (group.jobs.empty()) {
        group.listed = false;
        listed_[at_] = listed_.back();
        listed_.pop_back();
      } else {
        at_++;
      }
    }
    if (!out_.flush()) return kRetryMs;
    return untilNext(now);
  }

 private:
  static constexpr size_t kSlice = 2048;           // datagrams: two or three milliseconds of work
  static constexpr size_t kMaxJobs = 2048;         // of a group
  static constexpr int64_t kHoldUs = 4'000;
  static constexpr double kBusyPerSecond = 10'000; // datagrams; below, holding packets saves next to nothing
  static constexpr int64_t kMeasureUs = 100'000;
  static constexpr int64_t kLateUs = 10'000;
  static constexpr int64_t kTooLateUs = 1'000'000; // a player has asked for it again, or gone on
  static constexpr double kRetryMs = 1;

  void measure(int64_t now, double datagrams) {
    offered_ += datagrams;
    if (now - measuredUs_ < kMeasureUs) return;
    isBusy_ = offered_ * 1e6 / double(now - measuredUs_) >= kBusyPerSecond;
    measuredUs_ = now;
    offered_ = 0;
  }

  // One turn of the group, or what of it the budget allows. False: stop here, and go on here the next time.
  bool serve(Group& group, int64_t now, size_t& budget) {
    if (group.next == 0) group.turnEnd = group.end();
    while (group.next < group.sinks.size()) {
      if (budget == 0) return false;
      prefetch(group);
      const size_t sent = sendTo(*group.sinks[group.next], group, now);
      if (out_.blocked()) return false;
      budget -= std::min(budget, sent);
      group.next++;
    }
    for (; group.base < group.turnEnd; group.base++) group.jobs.pop_front();
    group.next = 0;
    group.dueUs = 0;
    return true;
  }

  // Thousands of viewers are more than the processor's caches hold: what the next ones need is on its way meanwhile, a
  // pointer further with each that is served.
  static void prefetch(const Group& group) {
    const auto sinks = group.sinks.data() + group.next;
    const size_t left = group.sinks.size() - group.next;
    if (left > 4) sinks[4]->prefetch();
    if (left > 3) __builtin_prefetch(sinks[3]->peer.get());
    if (left > 2) sinks[2]->peer->prefetch();
    if (left > 1) sinks[1]->peer->srtp.prefetchCipher();
  }

  // Returns how many were sent; what there is no room for goes on waiting.
  size_t sendTo(Sink& sink, Group& group, int64_t now) {
    size_t sent = 0;
    if (sink.cursor < group.base) {
      counters_.dropped += double(group.base - sink.cursor);
      sink.cursor = group.base;
    }
    for (; sink.cursor < group.end(); sink.cursor++) {
      const Job& job = group.jobs[size_t(sink.cursor - group.base)];
      if (job.packet.sequence < sink.fromSequence) continue;
      const int64_t waited = now - job.cameUs;
      if (waited > kTooLateUs || group.isGone(job)) {
        counters_.dropped++;
        if (waited > kTooLateUs) counters_.tooLate++;
        continue;
      }
      uint8_t* to = out_.reserve(kMaxDatagram);
      if (to == nullptr) return sent;
      const size_t length = sink.protect(job.packet, job.packet.sequence + sink.sequenceDelta,
                                         job.packet.timestamp + sink.timestampDelta, to);
      out_.commit(&sink.peer->destination, length);
      if (waited > kLateUs) counters_.delayed++;
      sent++;
    }
    return sent;
  }

  double untilNext(int64_t now) const {
    int64_t due = 0;
    for (const auto* group : listed_) {
      if (group->dueUs <= now) return -1;
      due = due == 0 ? group->dueUs : std::min(due, group->dueUs);
    }
    return due == 0 ? 0 : std::ceil(double(due - now) / 1000.0);
  }

  Counters& counters_;
  OutQueue& out_;
  std::vector<Group*> listed_;
  size_t at_ = 0;  // whose turn it is
  double offered_ = 0;
  int64_t measuredUs_ = 0;
  bool isBusy_ = false;
};
