// All that one engine holds, and what can be done with it. Throws std::range_error for a handle that is not open.
#pragma once
#include "fanout-queue.h"

class Engine {
 public:
  const std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  SinkCounterTable sinkCounters;
  Table<std::shared_ptr<Peer>> peers;
  Table<Sink> sinks;
  Table<Group> groups;
  OutQueue out{*counters};
  FanoutQueue queue{*counters, out};

  Engine() { counters->room = kDirectPerTurn; }

  int openPeer(Profile profile, const uint8_t* keys) {
    return peers.add(std::make_unique<std::shared_ptr<Peer>>(std::make_shared<Peer>(profile, keys)));
  }
  void closePeer(int handle) {
    setRoute(handle, Destination());
    peers.remove(handle);
  }
  // What waits goes the old way first.
  void setRoute(int handle, const Destination& to) {
    Peer& peer = *peers.get(handle);
    for (auto* sink : peer.sinks) queue.finish(*sink);
    if (peer.destination.head >= 0 && !out.blocked()) out.flush();
    out.forget(&peer.destination);
    const int granted = sockets_.use(to.fd);
    if (granted >= 0) counters->sendBuffer = granted;
    sockets_.drop(peer.destination.fd);
    peer.destination = to;
  }

  int openSink(std::unique_ptr<Sink> sink) {
    Sink& opened = *sink;
    opened.peer->sinks.push_back(&opened);
    const int handle = sinks.add(std::move(sink));
    opened.counters = &sinkCounters.at(size_t(handle));
    *opened.counters = {};
    return handle;
  }
  void closeSink(int handle) {
    Sink& sink = sinks.get(handle);
    leave(sink);
    auto& siblings = sink.peer->sinks;
    siblings.erase(std::find(siblings.begin(), siblings.end(), &sink));
    sinks.remove(handle);
  }
  void closeGroup(int handle) {
    Group& group = groups.get(handle);
    while (!group.sinks.empty()) leave(*group.sinks.back());
    queue.forget(group);
    groups.remove(handle);
  }
  void join(Group& group, Sink& sink) {
    leave(sink);
    group.add(sink);
  }
  void leave(Sink& sink) {
    if (sink.group == nullptr) return;
    queue.finish(sink);
    sink.group->remove(sink);
  }

  // Where to write a packet of a stream for one peer, behind those that wait for it. Null, and counted, when there is no room.
  uint8_t* reserveBehind(Sink& sink) { return queue.catchUp(sink) ? reserve(kMaxDatagram) : refuse(); }
  // The same for a datagram that need not be behind anything.
  uint8_t* reserve(size_t length) {
    uint8_t* to = out.reserve(length);
    return to != nullptr ? to : refuse();
  }
  void commit(Peer& peer, size_t length) {
    out.commit(&peer.destination, length);
    if (counters->room > 0) counters->room--;
  }

  // At the end of a turn of the loop; see FanoutQueue::work.
  double work() {
    const double wait = queue.work();
    counters->room = out.blocked() ? 0 : kDirectPerTurn;
    return wait;
  }

 private:
  // For viewers that catch up. They are many when a publisher comes back.
  static constexpr double kDirectPerTurn = 1024;

  uint8_t* refuse() {
    counters->dropped++;
    counters->noRoom++;
    return nullptr;
  }

  Sockets sockets_;
};
