// The few functions of libuv that are used, as openssl.h does it: Node exports them and its headers need not be there.
// The size of a handle is asked for at run time.
#pragma once
#include <cstddef>

extern "C" {
struct uv_loop_s;
struct uv_handle_s;
typedef void (*uv_poll_callback)(uv_handle_s*, int status, int events);
typedef void (*uv_close_callback)(uv_handle_s*);
size_t uv_handle_size(int type);
const char* uv_handle_type_name(int type);
void* uv_handle_get_data(const uv_handle_s*);
void uv_handle_set_data(uv_handle_s*, void*);
int uv_poll_init(uv_loop_s*, uv_handle_s*, int fd);
int uv_poll_start(uv_handle_s*, int events, uv_poll_callback);
int uv_poll_stop(uv_handle_s*);
void uv_close(uv_handle_s*, uv_close_callback);
}

constexpr int kUvPoll = 8;      // UV_POLL; its name is checked before it is used
constexpr int kUvReadable = 1;  // UV_READABLE
