// For a test, preloaded: a kernel that refuses what REFUSE says. `batch`: no sendmmsg; `receive`: no recvmmsg; `cut`: no UDP_SEGMENT; `full`: a
// socket buffer that is full at each second attempt; `stuck`: one that stays full.
#define _GNU_SOURCE
#include <errno.h>
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

int sendmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags) {
  if (refuses("batch")) return fail(ENOSYS);
  if (is_full()) return fail(EAGAIN);
  if (refuses("cut")) {
    unsigned int whole = 0;
    while (whole < count && messages[whole].msg_hdr.msg_controllen == 0) whole++;
    if (whole == 0) return fail(EIO);
    count = whole;
  }
  // Never all at once: the rest has to be tried again.
  if (count > 2) count = 2;
  return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  // Node's own pipes to other processes go this way, too.
  const int is_datagram = message->msg_name != NULL;
  if (is_datagram && is_full()) return fail(EAGAIN);
  if (is_datagram && refuses("cut") && message->msg_controllen > 0) return fail(EIO);
  return syscall(SYS_sendmsg, fd, message, flags);
}

int recvmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags, struct timespec* timeout) {
  if (refuses("receive")) return fail(ENOSYS);
  return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
}
