// For a test, preloaded: a kernel that refuses what REFUSE says. `batch`: no sendmmsg; `receive`: no recvmmsg; `cut`: no
// UDP_SEGMENT; `tunnel`: the same to whom is sent first; `full`: a socket buffer that is full at each second attempt;
// `stuck`: one that stays full; `deny`: a firewall that lets nothing out at first; `limit`: one that refuses each third
// batch; `error`: a socket that has an error of its own after a hundred datagrams.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuses(const char* what) {
  const char* refused = getenv("REFUSE");
  return refused != NULL && strstr(refused, what) != NULL;
}

static int fail(int code) {
  errno = code;
  return -1;
}

static int is_full(void) {
  static int attempts;
  return refuses("stuck") || (refuses("full") && ++attempts % 2 == 1);
}

// To cut messages to this one.
static int is_refused_cut(const struct msghdr* message) {
  static struct sockaddr_in first;
  if (message->msg_controllen == 0) return 0;
  if (refuses("cut")) return 1;
  if (!refuses("tunnel")) return 0;
  if (first.sin_port == 0) memcpy(&first, message->msg_name, sizeof first);
  return memcmp(&first, message->msg_name, sizeof first) == 0;
}

static int is_denied(int is_batch) {
  static int batches;
  batches += is_batch;
  if (refuses("limit")) return is_batch && batches % 3 == 0;
  return refuses("deny") && batches <= 6;
}

int sendmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags) {
  if (refuses("batch")) return fail(ENOSYS);
  if (is_full()) return fail(EAGAIN);
  if (is_denied(1)) return fail(EPERM);
  unsigned int taken = 0;
  while (taken < count && !is_refused_cut(&messages[taken].msg_hdr)) taken++;
  if (taken == 0) return fail(EIO);
  count = taken;
  // Never all at once: the rest has to be tried again.
  if (count > 2) count = 2;
  return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  // Node's own pipes to other processes go this way, too.
  const int is_datagram = message->msg_name != NULL;
  if (is_datagram && is_full()) return fail(EAGAIN);
  if (is_datagram && is_denied(0)) return fail(EPERM);
  if (is_datagram && is_refused_cut(message)) return fail(EIO);
  return syscall(SYS_sendmsg, fd, message, flags);
}

int recvmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags, struct timespec* timeout) {
  if (refuses("receive")) return fail(ENOSYS);
  return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}

// What a datagram to a closed port does to a connected socket. Afterwards it is connected to itself: that is where the
// test's datagrams come from.
static void set_error(int fd) {
  struct sockaddr_in closed = {.sin_family = AF_INET, .sin_port = htons(1)}, own;
  socklen_t length = sizeof own;
  closed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  getsockname(fd, (struct sockaddr*)&own, &length);
  connect(fd, (struct sockaddr*)&closed, sizeof closed);
  send(fd, "", 1, 0);
  connect(fd, (struct sockaddr*)&own, length);
}

ssize_t sendto(int fd, const void* data, size_t length, int flags, const struct sockaddr* to, socklen_t to_length) {
  static int sent;
  const ssize_t result = syscall(SYS_sendto, fd, data, length, flags, to, to_length);
  if (to != NULL && refuses("error") && ++sent == 100) set_error(fd);
  return result;
}
