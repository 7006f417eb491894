// Protection of what is sent (RFC 3711, RFC 7714): one direction of one session. The bytes that come out are those of
// ../../srtp/srtp-sender.ts.
#pragma once
#include <cstring>
#include <memory>
#include <stdexcept>

#include "openssl.h"
#include "packet.h"

constexpr size_t kGcmTag = 16;
constexpr size_t kHmacTag = 10;
constexpr size_t kSrtcpIndex = 4;
constexpr size_t kRtcpClear = 8;
constexpr size_t kCipherKey = 16;
constexpr size_t kAuthKey = 20;
constexpr size_t kGcmSalt = 12;
constexpr size_t kCmSalt = 14;
constexpr size_t kSrtpOverhead = kGcmTag + kSrtcpIndex;
constexpr uint32_t kSrtcpEncrypted = 0x80000000u;
constexpr uint32_t kMaxSrtcpIndex = 0x7fffffffu;

enum class Profile { kPlain = 0, kGcm = 1, kCm = 2 };

inline void put16(uint8_t* to, uint32_t value) {
  to[0] = uint8_t(value >> 8);
  to[1] = uint8_t(value);
}
inline void put32(uint8_t* to, uint32_t value) {
  put16(to, value >> 16);
  put16(to + 2, value);
}
inline void xor32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] ^= uint8_t(value >> (24 - 8 * i));
}

constexpr size_t kCacheLine = 64;

inline void prefetchLines(const void* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(static_cast<const char*>(from) + at);
}

// HMAC-SHA1 whose key has been hashed in already: a copy of the state starts a message.
class Hmac {
 public:
  ~Hmac() {
    OPENSSL_cleanse(&inner_, sizeof inner_);
    OPENSSL_cleanse(&outer_, sizeof outer_);
  }
  void setKey(const uint8_t* key) {
    uint8_t pad[64];
    for (size_t i = 0; i < sizeof pad; i++) pad[i] = uint8_t((i < kAuthKey ? key[i] : 0) ^ 0x36);
    SHA1_Init(&inner_);
    SHA1_Update(&inner_, pad, sizeof pad);
    for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
    SHA1_Init(&outer_);
    SHA1_Update(&outer_, pad, sizeof pad);
  }
  // Writes kHmacTag bytes; `extra` (may be empty) is authenticated after `data`.
  void tag(const uint8_t* data, size_t length, const uint8_t* extra, size_t extraLength, uint8_t* to) const {
    uint8_t digest[20];
    Sha1State state = inner_;
    SHA1_Update(&state, data, length);
    if (extraLength > 0) SHA1_Update(&state, extra, extraLength);
    SHA1_Final(digest, &state);
    state = outer_;
    SHA1_Update(&state, digest, sizeof digest);
    SHA1_Final(digest, &state);
    memcpy(to, digest, kHmacTag);
  }

 private:
  Sha1State inner_ = {}, outer_ = {};
};

// Keys of one kind of packet, with a cipher whose key schedule is done.
class PacketCipher {
 public:
  PacketCipher() = default;
  PacketCipher(const PacketCipher&) = delete;
  PacketCipher& operator=(const PacketCipher&) = delete;
  ~PacketCipher() {
    EVP_CIPHER_CTX_free(context_);
    OPENSSL_cleanse(salt_, sizeof salt_);
  }

  void setKeys(Profile profile, const uint8_t* key, const uint8_t* salt, const uint8_t* authKey) {
    memcpy(salt_, salt, profile == Profile::kGcm ? kGcmSalt : kCmSalt);
    context_ = EVP_CIPHER_CTX_new();
    const auto* cipher = profile == Profile::kGcm ? EVP_aes_128_gcm() : EVP_aes_128_ctr();
    check(context_ != nullptr && EVP_EncryptInit_ex(context_, cipher, nullptr, key, nullptr) == 1);
    if (profile == Profile::kCm) hmac_.setKey(authKey);
  }
  const uint8_t* salt() const { return salt_; }
  // What OpenSSL made for it in one go lies together, as a rule.
  void prefetch() const { prefetchLines(context_, kContextBytes); }
  const Hmac& hmac() const { return hmac_; }

  // Encrypts `length` bytes; `to` may be `from`.
  void encryptCm(const uint8_t* iv, const uint8_t* from, size_t length, uint8_t* to) {
    int written = 0;
    check(EVP_EncryptInit_ex(context_, nullptr, nullptr, nullptr, iv) == 1);
    if (length > 0) check(EVP_EncryptUpdate(context_, to, &written, from, int(length)) == 1);
  }
  // As above, and writes the tag; the additional data may lie in two parts.
  void encryptGcm(const uint8_t* iv, const uint8_t* aad, size_t aadLength, const uint8_t* more, size_t moreLength,
                  const uint8_t* from, size_t length, uint8_t* to, uint8_t* tag) {
    int written = 0;
    check(EVP_EncryptInit_ex(context_, nullptr, nullptr, nullptr, iv) == 1);
    check(EVP_EncryptUpdate(context_, nullptr, &written, aad, int(aadLength)) == 1);
    if (moreLength > 0) check(EVP_EncryptUpdate(context_, nullptr, &written, more, int(moreLength)) == 1);
    if (length > 0) check(EVP_EncryptUpdate(context_, to, &written, from, int(length)) == 1);
    check(EVP_EncryptFinal_ex(context_, to + length, &written) == 1);
    check(EVP_CIPHER_CTX_ctrl(context_, kCtrlGetTag, int(kGcmTag), tag) == 1);
  }

 private:
  static constexpr size_t kContextBytes = 896;

  static void check(bool ok) {
    if (!ok) throw std::runtime_error("the cipher of OpenSSL failed");
  }
  evp_cipher_ctx_st* context_ = nullptr;
  uint8_t salt_[kCmSalt] = {};
  Hmac hmac_;
};

class SrtpSender {
 public:
  // `keys`: for RTP, then for RTCP: cipher key, salt, and for CM the authentication key. Empty for kPlain.
  SrtpSender(Profile profile, const uint8_t* keys) : profile_(profile) {
    if (profile == Profile::kPlain) return;
    const size_t salt = profile == Profile::kGcm ? kGcmSalt : kCmSalt;
    ciphers_.reset(new PacketCipher[2]);
    for (int kind = 0; kind < 2; kind++, keys += keysLength(profile) / 2) {
      ciphers_[kind].setKeys(profile, keys, keys + kCipherKey, keys + kCipherKey + salt);
    }
  }
  static size_t keysLength(Profile profile) {
    if (profile == Profile::kPlain) return 0;
    return 2 * (profile == Profile::kGcm ? kCipherKey + kGcmSalt : kCipherKey + kCmSalt + kAuthKey);
  }

  // Completes the packet whose header is in `out` and whose payload follows it in the clear; returns its length.
  size_t protectRtp(uint8_t* out, size_t headerLength, const uint8_t* payload, size_t payloadLength, uint32_t roc) {
    const size_t end = headerLength + payloadLength;
    if (profile_ == Profile::kPlain) {
      if (payloadLength > 0) memmove(out + headerLength, payload, payloadLength);
      return end;
    }
    PacketCipher& cipher = ciphers_[0];
    uint8_t iv[16] = {};
    if (profile_ == Profile::kGcm) {
      memcpy(iv, cipher.salt(), kGcmSalt);
      for (int i = 0; i < 4; i++) iv[2 + i] ^= out[8 + i];
      xor32(iv + 6, roc);
      iv[10] ^= out[2];
      iv[11] ^= out[3];
      cipher.encryptGcm(iv, out, headerLength, nullptr, 0, payload, payloadLength, out + headerLength, out + end);
      return end + kGcmTag;
    }
    memcpy(iv, cipher.salt(), kCmSalt);
    for (int i = 0; i < 4; i++) iv[4 + i] ^= out[8 + i];
    xor32(iv + 8, roc);
    iv[12] ^= out[2];
    iv[13] ^= out[3];
    cipher.encryptCm(iv, payload, payloadLength, out + headerLength);
    uint8_t rollover[4];
    put32(rollover, roc);
    cipher.hmac().tag(out, end, rollover, sizeof rollover, out + end);
    return end + kHmacTag;
  }

  // Bring what `protectRtp` needs into the processor's cache, the second a moment after the first.
  void prefetch() const {
    if (ciphers_ != nullptr) __builtin_prefetch(&ciphers_[0]);
  }
  void prefetchCipher() const {
    if (ciphers_ != nullptr) ciphers_[0].prefetch();
  }

  bool rtcpExhausted() const { return profile_ != Profile::kPlain && rtcpIndex_ >= kMaxSrtcpIndex; }

  // Protects the compound packet in place; `length` is at least kRtcpClear, kSrtpOverhead bytes are spare behind it.
  size_t protectRtcp(uint8_t* packet, size_t length) {
    if (profile_ == Profile::kPlain) return length;
    PacketCipher& cipher = ciphers_[1];
    const uint32_t index = ++rtcpIndex_;
    const uint32_t ssrc = get32(packet + 4);
    uint8_t* body = packet + kRtcpClear;
    const size_t bodyLength = length - kRtcpClear;
    uint8_t iv[16] = {};
    if (profile_ == Profile::kGcm) {
      memcpy(iv, cipher.salt(), kGcmSalt);
      xor32(iv + 2, ssrc);
      xor32(iv + 8, index);
      uint8_t* trailer = packet + length + kGcmTag;
      put32(trailer, kSrtcpEncrypted | index);
      cipher.encryptGcm(iv, packet, kRtcpClear, trailer, kSrtcpIndex, body, bodyLength, body, packet + length);
      return length + kGcmTag + kSrtcpIndex;
    }
    memcpy(iv, cipher.salt(), kCmSalt);
    xor32(iv + 4, ssrc);
    xor32(iv + 10, index);
    cipher.encryptCm(iv, body, bodyLength, body);
    put32(packet + length, kSrtcpEncrypted | index);
    cipher.hmac().tag(packet, length + kSrtcpIndex, nullptr, 0, packet + length + kSrtcpIndex);
    return length + kSrtcpIndex + kHmacTag;
  }

 private:
  const Profile profile_;
  std::unique_ptr<PacketCipher[]> ciphers_;
  uint32_t rtcpIndex_ = 0;
};
