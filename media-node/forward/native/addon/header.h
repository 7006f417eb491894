// Writes the RTP header of a packet for one viewer; the bytes are those of ../../egress-header.ts, which says why.
#pragma once
#include <string>

#include "packet.h"
#include "srtp.h"

constexpr size_t kMaxMid = 255;
// Fixed header, block header, mid and copied elements at their longest (with two-byte headers), padding of the block.
constexpr size_t kMaxHeader = kFixedHeader + 4 + (2 + 255) * (1 + kCopied) + 3;

class HeaderWriter {
 public:
  HeaderWriter(uint8_t midId, std::string mid, const uint8_t* copiedIds) : midId_(midId), mid_(std::move(mid)) {
    for (int i = 0; i < kCopied; i++) {
      copiedIds_[i] = copiedIds[i];
      if (copiedIds[i] != 0) copiedMask_ |= 1u << i;
    }
    if (midId_ == 0) return;
    uint8_t block[kMaxHeader];
    plain_.assign(reinterpret_cast<char*>(block), writeBlock(block, nullptr, 0));
  }

  size_t write(uint8_t* out, const Packet& packet, uint32_t ssrc, uint8_t payloadType, uint32_t sequence,
               uint32_t timestamp) const {
    const uint32_t mask = packet.extensionMask & copiedMask_;
    const bool hasBlock = mask != 0 || !plain_.empty();
    out[0] = uint8_t(0x80 | (packet.paddingOnly ? 0x20 : 0) | (hasBlock ? 0x10 : 0));
    out[1] = uint8_t((packet.marker ? 0x80 : 0) | payloadType);
    put16(out + 2, sequence);
    put32(out + 4, timestamp);
    put32(out + 8, ssrc);
    if (mask != 0) return kFixedHeader + writeBlock(out + kFixedHeader, &packet, mask);
    memcpy(out + kFixedHeader, plain_.data(), plain_.size());
    return kFixedHeader + plain_.size();
  }

 private:
  size_t writeBlock(uint8_t* block, const Packet* packet, uint32_t mask) const {
    bool twoByte = midId_ != 0 && !fitsOneByte(midId_, mid_.size());
    for (int i = 0; i < kCopied; i++) {
      if (mask >> i & 1) twoByte |= !fitsOneByte(copiedIds_[i], packet->extensionLength[i]);
    }
    uint8_t* at = block + 4;
    if (midId_ != 0) {
      at = element(at, midId_, reinterpret_cast<const uint8_t*>(mid_.data()), mid_.size(), twoByte);
    }
    for (int i = 0; i < kCopied; i++) {
      if (!(mask >> i & 1)) continue;
      at = element(at, copiedIds_[i], packet->bytes + packet->extensionOffset[i], packet->extensionLength[i], twoByte);
    }
    while ((at - block) % 4 != 0) *at++ = 0;
    put16(block, twoByte ? 0x1000 : 0xbede);
    put16(block + 2, uint32_t((at - block) / 4 - 1));
    return size_t(at - block);
  }
  static bool fitsOneByte(uint8_t id, size_t length) { return id <= 14 && length > 0 && length <= 16; }
  static uint8_t* element(uint8_t* at, uint8_t id, const uint8_t* data, size_t length, bool twoByte) {
    if (twoByte) {
      *at++ = id;
      *at++ = uint8_t(length);
    } else {
      *at++ = uint8_t(id << 4 | (length - 1));
    }
    if (length > 0) memcpy(at, data, length);
    return at + length;
  }

  uint8_t copiedIds_[kCopied] = {};
  uint32_t copiedMask_ = 0;
  const uint8_t midId_;
  const std::string mid_;
  std::string plain_;
};
