// What the bare kernel takes for the datagrams of a fan-out: a sender that does nothing else, in one of three ways.
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <node_api.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

// Exported by Node from the OpenSSL inside of it.
extern "C" {
struct evp_cipher_ctx_st;
struct evp_cipher_st;
struct engine_st;
evp_cipher_ctx_st* EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(evp_cipher_ctx_st*);
const evp_cipher_st* EVP_aes_128_gcm(void);
int EVP_CIPHER_CTX_ctrl(evp_cipher_ctx_st*, int type, int arg, void* ptr);
int EVP_EncryptInit_ex(evp_cipher_ctx_st*, const evp_cipher_st*, engine_st*, const unsigned char*, const unsigned char*);
int EVP_EncryptUpdate(evp_cipher_ctx_st*, unsigned char*, int*, const unsigned char*, int);
int EVP_EncryptFinal_ex(evp_cipher_ctx_st*, unsigned char*, int*);
}

namespace {

constexpr int kHeader = 12, kTag = 16, kGetTag = 0x10;
constexpr int kBatch = 512;
enum Way { kSendto, kSendmmsg, kSegments };

double threadSeconds() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return double(used.tv_sec) + double(used.tv_nsec) / 1e9;
}

class Cipher {
 public:
  Cipher() : context_(EVP_CIPHER_CTX_new()) {
    const unsigned char key[16] = {1};
    EVP_EncryptInit_ex(context_, EVP_aes_128_gcm(), nullptr, key, nullptr);
  }
  ~Cipher() { EVP_CIPHER_CTX_free(context_); }
  // One SRTP packet: header authenticated, payload encrypted, tag behind it.
  void protect(const uint8_t* in, uint8_t* out, int length, uint64_t number) {
    unsigned char iv[12] = {};
    memcpy(iv, &number, sizeof number);
    int done;
    EVP_EncryptInit_ex(context_, nullptr, nullptr, nullptr, iv);
    memcpy(out, in, kHeader);
    EVP_EncryptUpdate(context_, nullptr, &done, in, kHeader);
    EVP_EncryptUpdate(context_, out + kHeader, &done, in + kHeader, length - kHeader - kTag);
    EVP_EncryptFinal_ex(context_, out + length - kTag, &done);
    EVP_CIPHER_CTX_ctrl(context_, kGetTag, kTag, out + length - kTag);
  }

 private:
  evp_cipher_ctx_st* context_;
};

union Control {
  cmsghdr header;
  char space[CMSG_SPACE(sizeof(uint16_t))];
};

// run(way, gcm, ports, packetsPerBurst, bytes, burstsPerSecond, seconds, out): sends from one socket to each port on
// loopback; into `out`: packets, refused, CPU seconds, of those in user mode.
napi_value run(napi_env env, napi_callback_info info) {
  napi_value values[8];
  size_t count = 8;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  double number[8] = {};
  for (int i = 0; i < 7; i++) {
    if (i != 2) napi_get_value_double(env, values[i], &number[i]);
  }
  size_t length = 0;
  void *portData = nullptr, *outData = nullptr;
  napi_get_typedarray_info(env, values[2], nullptr, &length, &portData, nullptr, nullptr);
  const size_t ports = length;
  napi_get_typedarray_info(env, values[7], nullptr, &length, &outData, nullptr, nullptr);
  const auto* port = static_cast<uint16_t*>(portData);
  auto* out = static_cast<double*>(outData);
  if (port == nullptr || out == nullptr || length < 4) return nullptr;
  const int way = int(number[0]), burst = int(number[3]), bytes = int(number[4]);
  const bool gcm = number[1] != 0;
  const double period = 1 / number[5];

  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int buffer = 4 * 1024 * 1024;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  std::vector<sockaddr_in> to(ports);
  for (size_t i = 0; i < ports; i++) {
    to[i] = {};
    to[i].sin_family = AF_INET;
    to[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to[i].sin_port = htons(port[i]);
  }
  std::vector<uint8_t> plain(size_t(burst) * size_t(bytes), 0);
  std::vector<uint8_t> ready(ports * plain.size(), 0);
  for (int i = 0; i < burst; i++) plain[size_t(i) * size_t(bytes)] = 0x80;
  std::vector<mmsghdr> messages(kBatch);
  std::vector<iovec> vectors(size_t(kBatch) * size_t(burst));
  std::vector<Control> controls(kBatch);
  Cipher cipher;
  uint64_t sent = 0, refused = 0, nonce = 0;

  timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  const double cpuBefore = threadSeconds();
  const int bursts = int(number[5] * number[6]);
  for (int n = 0; n < bursts; n++) {
    uint16_t sequence = uint16_t(n * burst);
    for (int i = 0; i < burst; i++, sequence++) {
      uint8_t* at = plain.data() + size_t(i) * size_t(bytes);
      at[2] = uint8_t(sequence >> 8);
      at[3] = uint8_t(sequence);
    }
    size_t waiting = 0, used = 0;
    const auto flush = [&] {
      for (size_t done = 0; done < waiting;) {
        const int got = sendmmsg(fd, &messages[done], unsigned(waiting - done), 0);
        for (size_t i = done; got > 0 && i < done + size_t(got); i++) sent += messages[i].msg_hdr.msg_iovlen;
        if (got <= 0) refused += messages[done].msg_hdr.msg_iovlen;
        done += got > 0 ? size_t(got) : 1;
      }
      waiting = used = 0;
    };
    for (size_t p = 0; p < ports; p++) {
      uint8_t* from = ready.data() + p * plain.size();
      for (int i = 0; i < burst; i++) {
        const size_t at = size_t(i) * size_t(bytes);
        if (gcm) cipher.protect(&plain[at], from + at, bytes, nonce++);
        else memcpy(from + at, &plain[at], kHeader);
        if (way != kSendto) continue;
        const ssize_t got = sendto(fd, from + at, size_t(bytes), 0, reinterpret_cast<sockaddr*>(&to[p]), sizeof to[p]);
        (got < 0 ? refused : sent)++;
      }
      if (way == kSendto) continue;
      const int perMessage = way == kSegments ? burst : 1;
      for (int i = 0; i < burst; i += perMessage) {
        if (waiting == kBatch) flush();
        msghdr& header = messages[waiting].msg_hdr;
        header = {};
        header.msg_name = &to[p];
        header.msg_namelen = sizeof to[p];
        header.msg_iov = &vectors[used];
        header.msg_iovlen = size_t(perMessage);
        for (int k = 0; k < perMessage; k++) vectors[used++] = {from + size_t(i + k) * size_t(bytes), size_t(bytes)};
        if (way == kSegments) {
          Control& control = controls[waiting];
          memset(&control, 0, sizeof control);
          control.header.cmsg_level = SOL_UDP;
          control.header.cmsg_type = UDP_SEGMENT;
          control.header.cmsg_len = CMSG_LEN(sizeof(uint16_t));
          const uint16_t segment = uint16_t(bytes);
          memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
          header.msg_control = &control;
          header.msg_controllen = sizeof control.space;
        }
        waiting++;
      }
    }
    flush();
    timespec next = start;
    const double due = double(n + 1) * period;
    next.tv_sec += time_t(due);
    next.tv_nsec += long((due - double(time_t(due))) * 1e9);
    if (next.tv_nsec >= 1000000000) {
      next.tv_sec++;
      next.tv_nsec -= 1000000000;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
  const double cpu = threadSeconds() - cpuBefore;
  getrusage(RUSAGE_THREAD, &after);
  close(fd);
  const auto seconds = [](const timeval& a, const timeval& b) {
    return double(b.tv_sec - a.tv_sec) + double(b.tv_usec - a.tv_usec) / 1e6;
  };
  const double user = seconds(before.ru_utime, after.ru_utime);
  const double all = user + seconds(before.ru_stime, after.ru_stime);
  out[0] = double(sent);
  out[1] = double(refused);
  out[2] = cpu;
  out[3] = all > 0 ? cpu * user / all : 0;
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value made;
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, nullptr, &made);
  napi_set_named_property(env, exports, "run", made);
  return exports;
}
