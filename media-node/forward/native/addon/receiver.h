// Sockets and keys of one owner in JavaScript. What can be read is read in batches, SRTP and SRTCP of known senders is
// opened where it lies, and JavaScript is called once per batch.
#pragma once
#include "call.h"
#include "receive-loop.h"
#include "receive-socket.h"
#include "srtp-open.h"
#include "table.h"

// Float64Array layout that ../receive-methods.ts reads, per datagram.
enum { kLength, kKind, kNumber, kIndex, kWireLength, kColumns };
// Raw: as it came; kIndex is then the sender's port. Opened: kIndex is the extended sequence number of RTP.
enum Kind { kRaw, kOpenedRtp, kOpenedRtcp, kRefusedMedia };

class Receiver : public std::enable_shared_from_this<Receiver> {
 public:
  Table<SrtpOpener> openers;

  Receiver() = default;
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Whom batches go to: `callback(socket, count)`, with the datagrams in `slab` and their columns in `columns`.
  void start(napi_env env, napi_value slab, napi_value columns, napi_value callback) {
    if (env_ != nullptr) throw std::invalid_argument("the receiver has been started");
    env_ = env;
    napi_value name;
    napi_create_string_utf8(env_, "UdpReceiver", NAPI_AUTO_LENGTH, &name);
    if (napi_async_init(env_, nullptr, name, &context_) != napi_ok) throw std::runtime_error("no async context");
    napi_create_reference(env_, slab, 1, &slab_);
    napi_create_reference(env_, columns, 1, &columns_);
    napi_create_reference(env_, callback, 1, &callback_);
  }

  // The number of the socket; or minus the errno of the kernel.
  int open(const Address& local, int receiveBytes, int sendBytes) {
    if (callback_ == nullptr) throw std::invalid_argument("the receiver has not been started, or has ended");
    auto poll = std::make_unique<Poll>();
    poll->receiver = this;
    if (const int error = poll->socket.open(local, receiveBytes, sendBytes)) return -error;
    poll->watch(env_);
    const int number = polls_.add(std::make_unique<Poll*>(poll.get()));
    poll.release()->number = number;  // its own: libuv says when it may go
    return number;
  }
  UdpSocket& socket(int number) { return polls_.get(number)->socket; }
  void close(int number) {
    Poll* poll = polls_.get(number);
    polls_.remove(number);
    poll->end();
  }
  void closeSockets() {
    for (int number = 0; number < polls_.end(); number++) {
      if (polls_.has(number)) close(number);
    }
  }
  // All sockets, and nothing may be opened any more.
  void end() {
    closeSockets();
    if (callback_ == nullptr) return;
    for (napi_ref reference : {slab_, columns_, callback_}) napi_delete_reference(env_, reference);
    slab_ = columns_ = callback_ = nullptr;
    napi_async_destroy(env_, context_);
  }

  // Opens the media datagram at `data` in place.
  static Kind openMedia(SrtpOpener& opener, uint8_t* data, size_t length, size_t* opened, int64_t* index) {
    *opened = SrtpOpener::kRefused;
    if (length >= kRtpFixedHeader) {
      const bool rtcp = isRtcp(data);
      *opened = rtcp ? opener.openRtcp(data, length) : opener.openRtp(data, length, index);
      if (*opened != SrtpOpener::kRefused) return rtcp ? kOpenedRtcp : kOpenedRtp;
    }
    return kRefusedMedia;
  }

 private:
  // So many batches at most before timers, sending and other sockets get their turn.
  static constexpr int kBatchesPerTurn = 4;

  // A socket and its handle in the event loop, which may only be freed when the loop says so.
  struct Poll {
    Receiver* receiver = nullptr;
    int number = -1;
    bool ended = false;
    UdpSocket socket;
    std::unique_ptr<char[]> memory;
    napi_async_cleanup_hook_handle hook = nullptr;

    uv_handle_s* handle() { return reinterpret_cast<uv_handle_s*>(memory.get()); }

    void watch(napi_env env) {
      uv_loop_s* loop = nullptr;
      const char* name = uv_handle_type_name(kUvPoll);
      if (name == nullptr || strcmp(name, "poll") != 0 || napi_get_uv_event_loop(env, &loop) != napi_ok) {
        throw std::runtime_error("this Node has another event loop");
      }
      memory.reset(new char[uv_handle_size(kUvPoll)]());
      if (uv_poll_init(loop, handle(), socket.fd()) != 0) throw std::runtime_error("the socket cannot be watched");
      uv_handle_set_data(handle(), this);
      // The end of the process or of the worker thread: it waits until the handle is closed.
      napi_add_async_cleanup_hook(env, atExit, this, &hook);
      uv_poll_start(handle(), kUvReadable, readable);
    }
    void end() {
      if (ended) return;
      ended = true;
      uv_poll_stop(handle());
      socket.shut();
      uv_close(handle(), [](uv_handle_s* closed) {
        auto* self = static_cast<Poll*>(uv_handle_get_data(closed));
        if (self->hook != nullptr) napi_remove_async_cleanup_hook(self->hook);
        delete self;
      });
    }
    static void atExit(napi_async_cleanup_hook_handle, void* self) {
      auto* poll = static_cast<Poll*>(self);
      if (!poll->ended) poll->receiver->close(poll->number);
    }
    static void readable(uv_handle_s* handle, int status, int) {
      auto* poll = static_cast<Poll*>(uv_handle_get_data(handle));
      // libuv gives up a socket that has an error (`ss --kill`); to read takes it off, and datagrams may come again.
      if (status < 0) uv_poll_start(handle, kUvReadable, readable);
      // The callback may close the socket, and drop the receiver.
      const auto receiver = poll->receiver->shared_from_this();
      for (int batch = 0; batch < kBatchesPerTurn && !poll->ended; batch++) {
        if (receiver->receiveBatch(*poll) < kSlots) return;
      }
    }
  };

  size_t receiveBatch(Poll& poll) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) return 0;
    size_t count = 0;
    auto* slab = bytesOf(slab_, napi_uint8_array, kSlots * kSlotBytes);
    auto* columns = reinterpret_cast<double*>(bytesOf(columns_, napi_float64_array, kSlots * kColumns));
    // Without memory to read into, a socket that can be read would keep the loop busy for ever.
    if (slab != nullptr && columns != nullptr) count = poll.socket.receive(slab);
    else uv_poll_stop(poll.handle());
    if (count > 0) {
      poll.socket.addresses.recycle();
      for (size_t slot = 0; slot < count; slot++) {
        describe(poll.socket, slot, slab + slot * kSlotBytes, columns + slot * kColumns);
      }
      handOver(poll.number, count);
    }
    napi_close_handle_scope(env_, scope);
    return count;
  }

  void describe(UdpSocket& socket, size_t slot, uint8_t* data, double* columns) {
    const Address& from = socket.from(slot);
    const size_t length = socket.length(slot);
    const int number = socket.addresses.find(from);
    columns[kLength] = columns[kWireLength] = double(length);
    columns[kKind] = kRaw;
    columns[kNumber] = number;
    columns[kIndex] = from.port();
    if (number < 0 || length == 0 || data[0] < 128 || data[0] > 191) return;  // RFC 7983: SRTP and SRTCP
    const int handle = socket.addresses.entry(number)->opener;
    if (handle < 0 || !openers.has(handle)) return;
    size_t opened = 0;
    int64_t index = 0;
    try {
      columns[kKind] = openMedia(openers.get(handle), data, length, &opened, &index);
    } catch (const std::exception&) {
      columns[kKind] = kRefusedMedia;
    }
    columns[kLength] = double(opened);
    columns[kIndex] = double(index);
  }

  // What the callback throws ends where an exception of any other callback ends.
  void handOver(int socket, size_t count) {
    napi_value global, callback, arguments[2];
    napi_get_global(env_, &global);
    napi_get_reference_value(env_, callback_, &callback);
    napi_create_int32(env_, socket, &arguments[0]);
    napi_create_uint32(env_, uint32_t(count), &arguments[1]);
    if (napi_make_callback(env_, context_, global, callback, 2, arguments, nullptr) != napi_pending_exception) return;
    napi_value error;
    if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
  }

  // Where the array lies now; null when it has been detached or is not what it should be.
  uint8_t* bytesOf(napi_ref reference, napi_typedarray_type wanted, size_t least) {
    napi_value value;
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (reference == nullptr || napi_get_reference_value(env_, reference, &value) != napi_ok || value == nullptr ||
        napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != wanted) {
      return nullptr;
    }
    return length < least ? nullptr : static_cast<uint8_t*>(data);
  }

  napi_env env_ = nullptr;
  napi_ref slab_ = nullptr, columns_ = nullptr, callback_ = nullptr;
  napi_async_context context_ = nullptr;
  Table<Poll*> polls_;
};

// What a JavaScript object holds: sockets end with it, the receiver itself not before its last batch has been handed over.
struct ReceiverOwner {
  ReceiverOwner() : receiver(std::make_shared<Receiver>()) {}
  ReceiverOwner(const ReceiverOwner&) = delete;
  ReceiverOwner& operator=(const ReceiverOwner&) = delete;
  ~ReceiverOwner() { receiver->closeSockets(); }
  const std::shared_ptr<Receiver> receiver;
};
