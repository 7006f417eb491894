// The few functions of OpenSSL that are used. Node exports them from its own binary and ships no headers that could be
// relied on; all of these have been stable since OpenSSL 1.1.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {
struct evp_cipher_ctx_st;
struct evp_cipher_st;
struct engine_st;
evp_cipher_ctx_st* EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(evp_cipher_ctx_st*);
int EVP_CIPHER_CTX_ctrl(evp_cipher_ctx_st*, int type, int arg, void* ptr);
const evp_cipher_st* EVP_aes_128_gcm(void);
const evp_cipher_st* EVP_aes_128_ctr(void);
int EVP_EncryptInit_ex(evp_cipher_ctx_st*, const evp_cipher_st*, engine_st*, const unsigned char* key,
                       const unsigned char* iv);
int EVP_EncryptUpdate(evp_cipher_ctx_st*, unsigned char* out, int* outl, const unsigned char* in, int inl);
int EVP_EncryptFinal_ex(evp_cipher_ctx_st*, unsigned char* out, int* outl);
int EVP_DecryptInit_ex(evp_cipher_ctx_st*, const evp_cipher_st*, engine_st*, const unsigned char* key,
                       const unsigned char* iv);
int EVP_DecryptUpdate(evp_cipher_ctx_st*, unsigned char* out, int* outl, const unsigned char* in, int inl);
int EVP_DecryptFinal_ex(evp_cipher_ctx_st*, unsigned char* out, int* outl);
int CRYPTO_memcmp(const void*, const void*, size_t);
void OPENSSL_cleanse(void*, size_t);

// Has the size of SHA_CTX (96 bytes: five words of state, two of length, a block, a counter), and some to spare.
struct alignas(16) Sha1State {
  unsigned char opaque[128];
};
int SHA1_Init(Sha1State*);
int SHA1_Update(Sha1State*, const void* data, size_t len);
int SHA1_Final(unsigned char* digest, Sha1State*);
}

constexpr int kCtrlGetTag = 0x10;  // EVP_CTRL_AEAD_GET_TAG
constexpr int kCtrlSetTag = 0x11;  // EVP_CTRL_AEAD_SET_TAG
