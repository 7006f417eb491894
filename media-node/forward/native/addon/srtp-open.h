// Checks and opens what a peer sends (RFC 3711, RFC 7714): one direction of one session, in place. What it accepts and
// refuses is what ../../srtp/srtp-receiver.ts does; nothing is remembered of a packet before it has authenticated.
#pragma once
#include <vector>

#include "srtp.h"

constexpr size_t kMaxSsrcs = 96;  // beyond it the SSRC that was silent for longest is forgotten
constexpr size_t kRtpFixedHeader = 12;
constexpr int64_t kSequenceModulus = 0x10000;

// RFC 5761 §4: the second byte tells RTCP from RTP.
inline bool isRtcp(const uint8_t* datagram) { return datagram[1] >= 192 && datagram[1] <= 223; }

// Length of fixed header, CSRCs and extension block; 0 when this is no RTP packet.
inline size_t rtpHeaderLength(const uint8_t* packet, size_t length) {
  if (length < kRtpFixedHeader || packet[0] >> 6 != 2) return 0;
  size_t end = kRtpFixedHeader + size_t(packet[0] & 0x0f) * 4;
  if ((packet[0] & 0x10) != 0) {
    if (end + 4 > length) return 0;
    end += 4 + size_t(get16(packet + end + 2)) * 4;
  }
  return end > length ? 0 : end;
}

// The extended sequence number with these low bits that lies closest to `reference`, which is not negative.
inline int64_t extendSequence(uint32_t sequence, int64_t reference) {
  int64_t difference = int64_t(sequence) - reference % kSequenceModulus;
  if (difference >= 0x8000) difference -= kSequenceModulus;
  else if (difference < -0x8000) difference += kSequenceModulus;
  return reference + difference;
}

// RFC 3711 §3.3.2: the highest index seen, and which of the last ones were: a bit for each, in a circle. Its width has
// the reasons that ../../srtp/replay-window.ts has.
class ReplayWindow {
 public:
  static constexpr int64_t kSize = 1024;

  int64_t highest() const { return highest_; }
  bool accepts(int64_t index) const {
    if (index > highest_) return true;
    return highest_ - index < kSize && (word(index) & bit(index)) == 0;
  }
  // Of an index that it accepts.
  void record(int64_t index) {
    if (index - highest_ >= kSize) {
      for (uint64_t& each : seen_) each = 0;
    } else {
      for (int64_t skipped = highest_ + 1; skipped < index; skipped++) word(skipped) &= ~bit(skipped);
    }
    if (index > highest_) highest_ = index;
    word(index) |= bit(index);
  }

 private:
  static constexpr int64_t kWord = 64;

  static uint64_t bit(int64_t index) { return uint64_t(1) << (index % kWord); }
  uint64_t& word(int64_t index) { return seen_[index % kSize / kWord]; }
  uint64_t word(int64_t index) const { return seen_[index % kSize / kWord]; }

  int64_t highest_ = -1;
  uint64_t seen_[kSize / kWord] = {};
};

// The replay windows of a peer's SSRCs.
class SsrcTable {
 public:
  ReplayWindow* find(uint32_t ssrc) {
    if (last_ < entries_.size() && entries_[last_].ssrc == ssrc) return &entries_[last_].window;
    for (size_t i = 0; i < entries_.size(); i++) {
      if (entries_[i].ssrc != ssrc) continue;
      last_ = i;
      return &entries_[i].window;
    }
    return nullptr;
  }
  // Of a packet that authenticated.
  void record(uint32_t ssrc, int64_t index, uint64_t use) {
    if (find(ssrc) == nullptr) add(ssrc);
    entries_[last_].usedAt = use;
    entries_[last_].window.record(index);
  }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint32_t ssrc;
    uint64_t usedAt;
    ReplayWindow window;
  };
  void add(uint32_t ssrc) {
    if (entries_.size() < kMaxSsrcs) {
      last_ = entries_.size();
      entries_.push_back({ssrc, 0, {}});
      return;
    }
    last_ = 0;
    for (size_t i = 1; i < entries_.size(); i++) {
      if (entries_[i].usedAt < entries_[last_].usedAt) last_ = i;
    }
    entries_[last_] = {ssrc, 0, {}};
  }
  std::vector<Entry> entries_;
  size_t last_ = 0;
};

// Keys of one kind of packet. The cipher is made by the first packet: a viewer sends no media.
class PacketOpener {
 public:
  PacketOpener() = default;
  PacketOpener(const PacketOpener&) = delete;
  PacketOpener& operator=(const PacketOpener&) = delete;
  ~PacketOpener() {
    EVP_CIPHER_CTX_free(context_);
    OPENSSL_cleanse(keys_, sizeof keys_);
  }
  void setKeys(Profile profile, const uint8_t* keys) {
    profile_ = profile;
    memcpy(keys_, keys, SrtpSender::keysLength(profile) / 2);
  }
  const uint8_t* salt() const { return keys_ + kCipherKey; }

  // Decrypts in place; false when the tag is not that of the additional data (in two parts) and the text.
  bool openGcm(const uint8_t* iv, const uint8_t* aad, size_t aadLength, const uint8_t* more, size_t moreLength,
               uint8_t* text, size_t length, const uint8_t* tag) {
    prepare();
    int written = 0;
    uint8_t rest[16];
    uint8_t expected[kGcmTag];
    memcpy(expected, tag, sizeof expected);
    check(EVP_DecryptInit_ex(context_, nullptr, nullptr, nullptr, iv) == 1);
    check(EVP_CIPHER_CTX_ctrl(context_, kCtrlSetTag, int(kGcmTag), expected) == 1);
    check(EVP_DecryptUpdate(context_, nullptr, &written, aad, int(aadLength)) == 1);
    if (moreLength > 0) check(EVP_DecryptUpdate(context_, nullptr, &written, more, int(moreLength)) == 1);
    if (length > 0) check(EVP_DecryptUpdate(context_, text, &written, text, int(length)) == 1);
    return EVP_DecryptFinal_ex(context_, rest, &written) == 1;
  }
  // Whether `tag` is that of the data, in two parts. Takes the same time wherever they differ.
  bool authenticCm(const uint8_t* data, size_t length, const uint8_t* more, size_t moreLength, const uint8_t* tag) {
    prepare();
    uint8_t expected[kHmacTag];
    hmac_->tag(data, length, more, moreLength, expected);
    return CRYPTO_memcmp(expected, tag, kHmacTag) == 0;
  }
  void openCm(const uint8_t* iv, uint8_t* text, size_t length) {
    int written = 0;
    check(EVP_DecryptInit_ex(context_, nullptr, nullptr, nullptr, iv) == 1);
    if (length > 0) check(EVP_DecryptUpdate(context_, text, &written, text, int(length)) == 1);
  }

 private:
  void prepare() {
    if (context_ != nullptr) return;
    context_ = EVP_CIPHER_CTX_new();
    const auto* cipher = profile_ == Profile::kGcm ? EVP_aes_128_gcm() : EVP_aes_128_ctr();
    check(context_ != nullptr && EVP_DecryptInit_ex(context_, cipher, nullptr, keys_, nullptr) == 1);
    if (profile_ != Profile::kCm) return;
    hmac_.reset(new Hmac);
    hmac_->setKey(keys_ + kCipherKey + kCmSalt);
  }
  static void check(bool ok) {
    if (!ok) throw std::runtime_error("the cipher of OpenSSL failed");
  }
  Profile profile_ = Profile::kGcm;
  evp_cipher_ctx_st* context_ = nullptr;
  std::unique_ptr<Hmac> hmac_;
  uint8_t keys_[kCipherKey + kCmSalt + kAuthKey] = {};
};

class SrtpOpener {
 public:
  static constexpr size_t kRefused = 0;  // instead of a length

  // `keys`: for RTP, then for RTCP: cipher key, salt, and for CM the authentication key.
  SrtpOpener(Profile profile, const uint8_t* keys) : gcm_(profile == Profile::kGcm) {
    rtp_.setKeys(profile, keys);
    rtcp_.setKeys(profile, keys + SrtpSender::keysLength(profile) / 2);
  }

  // Opens an RTP packet in place; returns the length of the plaintext packet and sets its extended sequence number.
  // A packet that is refused may have been overwritten.
  size_t openRtp(uint8_t* packet, size_t length, int64_t* index) {
    const size_t header = rtpHeaderLength(packet, length);
    const size_t tag = gcm_ ? kGcmTag : kHmacTag;
    if (header == 0 || length < header + tag) return kRefused;
    const size_t end = length - tag;
    const uint32_t ssrc = get32(packet + 8);
    const uint32_t sequence = get16(packet + 2);
    const ReplayWindow* known = rtpSsrcs_.find(ssrc);
    // RFC 3711 §3.3.1: a receiver that joins at the start of a stream takes the first rollover counter to be zero.
    const int64_t extended = known == nullptr ? int64_t(sequence) : extendSequence(sequence, known->highest());
    if (extended < 0 || (known != nullptr && !known->accepts(extended))) return kRefused;
    const auto roc = uint32_t(extended / kSequenceModulus);
    uint8_t iv[16] = {};
    if (gcm_) {
      memcpy(iv, rtp_.salt(), kGcmSalt);
      xor32(iv + 2, ssrc);
      xor32(iv + 6, roc);
      iv[10] ^= packet[2];
      iv[11] ^= packet[3];
      if (!rtp_.openGcm(iv, packet, header, nullptr, 0, packet + header, end - header, packet + end)) return kRefused;
    } else {
      uint8_t rollover[4];
      put32(rollover, roc);
      if (!rtp_.authenticCm(packet, end, rollover, sizeof rollover, packet + end)) return kRefused;
      memcpy(iv, rtp_.salt(), kCmSalt);
      xor32(iv + 4, ssrc);
      xor32(iv + 8, roc);
      iv[12] ^= packet[2];
      iv[13] ^= packet[3];
      rtp_.openCm(iv, packet + header, end - header);
    }
    rtpSsrcs_.record(ssrc, extended, ++uses_);
    *index = extended;
    return end;
  }

  // The same for a compound RTCP packet.
  size_t openRtcp(uint8_t* packet, size_t length) {
    const size_t trailer = kSrtcpIndex + (gcm_ ? kGcmTag : kHmacTag);
    if (length < kRtcpClear + trailer) return kRefused;
    const size_t end = length - trailer;
    const uint32_t ssrc = get32(packet + 4);
    const uint8_t* word = gcm_ ? packet + length - kSrtcpIndex : packet + end;
    const bool encrypted = (get32(word) & kSrtcpEncrypted) != 0;
    const uint32_t index = get32(word) & kMaxSrtcpIndex;
    const ReplayWindow* known = rtcpSsrcs_.find(ssrc);
    if (known != nullptr && !known->accepts(index)) return kRefused;
    uint8_t* body = packet + kRtcpClear;
    const size_t bodyLength = end - kRtcpClear;
    uint8_t iv[16] = {};
    if (gcm_) {
      // RFC 7714 §9: the index word follows the tag and is authenticated; without encryption the body is too.
      memcpy(iv, rtcp_.salt(), kGcmSalt);
      xor32(iv + 2, ssrc);
      xor32(iv + 8, index);
      const size_t clear = encrypted ? kRtcpClear : end;
      const size_t secret = encrypted ? bodyLength : 0;
      if (!rtcp_.openGcm(iv, packet, clear, word, kSrtcpIndex, body, secret, packet + end)) return kRefused;
    } else {
      if (!rtcp_.authenticCm(packet, end + kSrtcpIndex, nullptr, 0, packet + end + kSrtcpIndex)) return kRefused;
      memcpy(iv, rtcp_.salt(), kCmSalt);
      xor32(iv + 4, ssrc);
      xor32(iv + 10, index);
      if (encrypted) rtcp_.openCm(iv, body, bodyLength);
    }
    rtcpSsrcs_.record(ssrc, index, ++uses_);
    return end;
  }

  size_t ssrcCount() const { return rtpSsrcs_.size(); }

 private:
  const bool gcm_;
  PacketOpener rtp_, rtcp_;
  SsrcTable rtpSsrcs_, rtcpSsrcs_;
  uint64_t uses_ = 0;
};
