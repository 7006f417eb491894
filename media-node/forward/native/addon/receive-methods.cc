// What ../receive-methods.ts describes: sockets that are read in batches, and the keys of what comes.
#include "methods.h"
#include "receiver.h"

namespace {

Receiver& receiverOf(Call& call) { return *call.owner<ReceiverOwner>().receiver; }

UdpSocket& socketOf(Call& call) { return receiverOf(call).socket(call.handle(0)); }

Address addressAt(Call& call, size_t index) {
  char text[Address::kTextBytes];
  call.text(index, text, sizeof text);
  Address address;
  if (!Address::parse(text, uint16_t(call.integer(index + 1, 0, 0xffff)), &address)) {
    throw std::range_error("not an IP address");
  }
  return address;
}

// slab, columns, callback(socket, count)
double start(Call& call) {
  napi_valuetype type;
  if (call.bytes(0).length < kSlots * kSlotBytes) throw std::range_error("the slab is too short");
  call.doubles(1, kSlots * kColumns);
  if (napi_typeof(call.env(), call.value(2), &type) != napi_ok || type != napi_function) {
    throw std::invalid_argument("argument 3 must be a function");
  }
  receiverOf(call).start(call.env(), call.value(0), call.value(1), call.value(2));
  return 0;
}

// address, port, bytes of the receive and of the send buffer: the socket, or minus an errno
double openSocket(Call& call) {
  const Address local = addressAt(call, 0);
  const int receiveBytes = int(call.integer(2, 0, 1 << 30)), sendBytes = int(call.integer(3, 0, 1 << 30));
  return receiverOf(call).open(local, receiveBytes, sendBytes);
}

double closeSocket(Call& call) {
  receiverOf(call).close(call.handle(0));
  return 0;
}

double end(Call& call) {
  receiverOf(call).end();
  return 0;
}

double socketState(Call& call) {
  UdpSocket& socket = socketOf(call);
  const double values[] = {double(socket.port()),
                           double(socket.fd()),
                           double(socket.granted(SO_RCVBUF)),
                           double(socket.granted(SO_SNDBUF)),
                           socket.overflowed(),
                           socket.counters.calls,
                           socket.counters.datagrams,
                           socket.counters.tooLong,
                           double(socket.addresses.size())};
  memcpy(call.doubles(1, sizeof values / sizeof *values), values, sizeof values);
  return 0;
}

// socket, bytes, address, port: 0 or an errno
double sendDatagram(Call& call) {
  UdpSocket& socket = socketOf(call);
  const auto bytes = call.bytes(1);
  return socket.send(addressAt(call, 2), bytes.data, bytes.length);
}

// socket, slot, out: the length of the sender's address as text; of the batch that is being handed over
double senderOf(Call& call) {
  const UdpSocket& socket = socketOf(call);
  const auto slot = size_t(call.integer(1, 0, kSlots - 1));
  const auto out = call.bytes(2);
  char text[Address::kTextBytes];
  socket.from(slot).print(text, sizeof text);
  const size_t length = strlen(text);
  if (length > out.length) throw std::range_error("the buffer is too short");
  if (length > 0) memcpy(out.data, text, length);
  return double(length);
}

// socket, address, port, opener (-1: none): the number of the claim
double claim(Call& call) {
  UdpSocket& socket = socketOf(call);
  const Address address = addressAt(call, 1);
  const int opener = int(call.integer(3, -1, 0x7fffffff));
  if (opener >= 0) receiverOf(call).openers.get(opener);
  return socket.addresses.claim(address, opener);
}

// socket, number, opener (-1: none)
double setOpener(Call& call) {
  const int opener = int(call.integer(2, -1, 0x7fffffff));
  if (opener >= 0) receiverOf(call).openers.get(opener);
  auto* entry = socketOf(call).addresses.entry(call.handle(1));
  if (entry == nullptr) throw std::range_error("nobody claimed that");
  entry->opener = opener;
  return 0;
}

// socket, number
double release(Call& call) {
  socketOf(call).addresses.release(call.handle(1));
  return 0;
}

double openOpener(Call& call) {
  const auto profile = Profile(int(call.integer(0, int(Profile::kGcm), int(Profile::kCm))));
  const auto keys = call.bytes(1);
  if (keys.length != SrtpSender::keysLength(profile)) throw std::range_error("the keys have a wrong length");
  return receiverOf(call).openers.add(std::make_unique<SrtpOpener>(profile, keys.data));
}

double closeOpener(Call& call) {
  receiverOf(call).openers.remove(call.handle(0));
  return 0;
}

// opener, bytes, length, out (length, kind, unused, index): opens one datagram where it lies
double openMedia(Call& call) {
  SrtpOpener& opener = receiverOf(call).openers.get(call.handle(0));
  const auto bytes = call.bytes(1);
  const auto length = size_t(call.integer(2, 0, kSlotBytes));
  double* out = call.doubles(3, kColumns);
  if (length > bytes.length) throw std::range_error("the buffer is too short");
  size_t opened = 0;
  int64_t index = 0;
  out[kKind] = Receiver::openMedia(opener, bytes.data, length, &opened, &index);
  out[kLength] = double(opened);
  out[kNumber] = AddressTable::kNone;
  out[kIndex] = double(index);
  out[kWireLength] = double(length);
  return 0;
}

double ssrcCount(Call& call) { return double(receiverOf(call).openers.get(call.handle(0)).ssrcCount()); }

}  // namespace

const std::vector<Method> kReceiveMethods = {
    {"start", entry<start>},
    {"end", entry<end>},
    {"openSocket", entry<openSocket>},
    {"closeSocket", entry<closeSocket>},
    {"socketState", entry<socketState>},
    {"send", entry<sendDatagram>},
    {"senderOf", entry<senderOf>},
    {"claim", entry<claim>},
    {"setOpener", entry<setOpener>},
    {"release", entry<release>},
    {"openOpener", entry<openOpener>},
    {"closeOpener", entry<closeOpener>},
    {"openMedia", entry<openMedia>},
    {"ssrcCount", entry<ssrcCount>},
};
