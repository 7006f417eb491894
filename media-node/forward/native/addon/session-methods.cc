// Peers, sinks and groups for JavaScript: opened and closed, where they send, who is in which.
#include <net/if.h>

#include "methods.h"
#include "self-test.h"

namespace {

Engine& engineOf(Call& call) { return call.owner<Engine>(); }

double openPeer(Call& call) {
  const auto profile = Profile(int(call.integer(0, 0, 2)));
  const auto keys = call.bytes(1);
  if (keys.length != SrtpSender::keysLength(profile)) throw std::range_error("the keys have a wrong length");
  return engineOf(call).openPeer(profile, keys.data);
}

double closePeer(Call& call) {
  engineOf(call).closePeer(call.handle(0));
  return 0;
}

// peer, fd (-1: none), address (4 or 16 bytes), port, index or name of the zone of a link-local address
double setRoute(Call& call) {
  const int peer = call.handle(0);
  Destination to;
  to.fd = int(call.integer(1, -1, 0x7fffffff));
  if (to.fd >= 0) {
    const auto address = call.bytes(2);
    const auto port = uint16_t(call.integer(3, 1, 0xffff));
    const auto zone = call.bytes(4);
    if (address.length == 4) {
      auto* in = reinterpret_cast<sockaddr_in*>(&to.address);
      in->sin_family = AF_INET;
      in->sin_port = htons(port);
      memcpy(&in->sin_addr, address.data, 4);
      to.addressLength = sizeof *in;
    } else if (address.length == 16) {
      auto* in = reinterpret_cast<sockaddr_in6*>(&to.address);
      in->sin6_family = AF_INET6;
      in->sin6_port = htons(port);
      memcpy(&in->sin6_addr, address.data, 16);
      const std::string text(reinterpret_cast<const char*>(zone.data), zone.length);
      in->sin6_scope_id = text.empty() ? 0 : if_nametoindex(text.c_str());
      to.addressLength = sizeof *in;
    } else {
      throw std::range_error("an address has 4 or 16 bytes");
    }
  }
  engineOf(call).setRoute(peer, to);
  return 0;
}

// peer, ssrc, payload type, RTX ssrc, RTX payload type (255: no RTX), id of mid, mid, copied ids
double openSink(Call& call) {
  Engine& engine = engineOf(call);
  const auto peer = engine.peers.get(call.handle(0));
  const auto mid = call.bytes(6);
  const auto copied = call.bytes(7);
  const uint8_t rtxPayloadType = call.byte(4);
  if (mid.length > kMaxMid) throw std::range_error("the mid is too long");
  if (copied.length != kCopied) throw std::range_error("a wrong count of extension ids");
  const std::string text(reinterpret_cast<const char*>(mid.data), mid.length);
  return engine.openSink(std::unique_ptr<Sink>(
      new Sink{peer, call.word(1), uint8_t(call.byte(2) & 0x7f), rtxPayloadType != 0xff, call.word(3),
               uint8_t(rtxPayloadType & 0x7f), HeaderWriter(call.byte(5), text, copied.data)}));
}

double closeSink(Call& call) {
  engineOf(call).closeSink(call.handle(0));
  return 0;
}

// ids of the publisher's extensions, whether its packets come in frames
double openGroup(Call& call) {
  auto group = std::make_unique<Group>();
  const auto ids = call.bytes(0);
  if (ids.length != kCopied) throw std::range_error("a wrong count of extension ids");
  memcpy(group->sourceIds, ids.data, kCopied);
  group->framed = call.integer(1, 0, 1) == 1;
  return engineOf(call).groups.add(std::move(group));
}

double closeGroup(Call& call) {
  engineOf(call).closeGroup(call.handle(0));
  return 0;
}

// group, sink, from sequence, sequence delta, timestamp delta
double join(Call& call) {
  auto& group = engineOf(call).groups.get(call.handle(0));
  auto& sink = engineOf(call).sinks.get(call.handle(1));
  const double from = call.number(2), sequenceDelta = call.number(3), timestampDelta = call.number(4);
  engineOf(call).join(group, sink);
  sink.fromSequence = from;
  sink.sequenceDelta = sequenceDelta;
  sink.timestampDelta = timestampDelta;
  return 0;
}

double leave(Call& call) {
  engineOf(call).leave(engineOf(call).sinks.get(call.handle(0)));
  return 0;
}

// 1: the kernel cuts messages, 0: it does not. Sends over loopback.
double tryLoopback(Call&) { return LoopbackTest().run() ? 1 : 0; }

}  // namespace

const std::vector<Method> kSessionMethods = {
    {"openPeer", entry<openPeer>},     {"closePeer", entry<closePeer>},   {"setRoute", entry<setRoute>},
    {"openSink", entry<openSink>},     {"closeSink", entry<closeSink>},   {"openGroup", entry<openGroup>},
    {"closeGroup", entry<closeGroup>}, {"join", entry<join>},             {"leave", entry<leave>},
    {"tryLoopback", entry<tryLoopback>},
};
