// A plaintext packet of a source, taken apart once for all viewers; the rules are those of ../../source-packet.ts.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

constexpr int kCopied = 6;
constexpr size_t kFixedHeader = 12;
constexpr size_t kMaxPayload = 2048;

// What is the same for all viewers of a packet. Points into memory of somebody else.
struct Packet {
  const uint8_t* bytes;
  const uint8_t* payload;
  size_t payloadLength;
  bool marker;
  bool paddingOnly;
  double sequence;
  double timestamp;
  uint32_t extensionMask;
  uint16_t extensionOffset[kCopied];
  uint8_t extensionLength[kCopied];
};

// The packets of a stream, one after the other in a circle. JavaScript writes them and knows where each one is.
struct PacketLog {
  explicit PacketLog(size_t bytes) : data(new uint8_t[bytes]), size(bytes) {}
  const std::unique_ptr<uint8_t[]> data;
  const size_t size;
};

// As `>>> 0` in JavaScript.
inline uint32_t toUint32(double value) {
  constexpr double kExact = 9e18;
  if (value > -kExact && value < kExact) return uint32_t(int64_t(value));
  if (!std::isfinite(value)) return 0;
  return uint32_t(int64_t(std::fmod(std::trunc(value), 4294967296.0)));
}

inline uint32_t get16(const uint8_t* from) { return uint32_t(from[0]) << 8 | from[1]; }
inline uint32_t get32(const uint8_t* from) { return get16(from) << 16 | get16(from + 2); }

// Reads the header extensions with these ids (RFC 8285); 0 is no id.
class ExtensionReader {
 public:
  ExtensionReader(const uint8_t* bytes, size_t start, size_t end, uint32_t profile)
      : bytes_(bytes), start_(start), end_(end), twoByte_((profile & 0xfff0) == 0x1000) {}

  bool find(uint8_t id, uint16_t& offset, uint8_t& length) const {
    for (size_t at = start_; at < end_;) {
      const uint8_t first = bytes_[at];
      if (first == 0) {
        at++;
        continue;
      }
      if (!twoByte_ && first >> 4 == 15) return false;
      const size_t head = twoByte_ ? 2 : 1;
      if (at + head > end_) return false;
      const size_t size = twoByte_ ? bytes_[at + 1] : size_t(first & 15) + 1;
      if (at + head + size > end_) return false;
      if ((twoByte_ ? first : first >> 4) == id) {
        offset = uint16_t(at + head);
        length = uint8_t(size);
        return true;
      }
      at += head + size;
    }
    return false;
  }

 private:
  const uint8_t* bytes_;
  const size_t start_, end_;
  const bool twoByte_;
};

// False when it is malformed or too long. `sequence` is the caller's.
inline bool readPacket(const uint8_t* bytes, size_t length, const uint8_t* sourceIds, Packet& into) {
  if (length < kFixedHeader || length > 0xffff || bytes[0] >> 6 != 2) return false;
  size_t header = kFixedHeader + (bytes[0] & 15) * 4u;
  size_t extensionStart = 0;
  uint32_t profile = 0;
  if (bytes[0] & 0x10) {
    if (header + 4 > length) return false;
    profile = get16(bytes + header);
    extensionStart = header + 4;
    header += 4 + get16(bytes + header + 2) * 4;
  }
  if (header > length) return false;
  size_t end = length;
  if (bytes[0] & 0x20) {
    const size_t padding = bytes[length - 1];
    if (length <= header || padding == 0 || header + padding > length) return false;
    end = length - padding;
  }
  into.bytes = bytes;
  into.paddingOnly = end != length && end == header;
  into.payload = bytes + header;
  into.payloadLength = (into.paddingOnly ? length : end) - header;
  if (into.payloadLength > kMaxPayload) return false;
  into.marker = bytes[1] & 0x80;
  into.timestamp = get32(bytes + 4);
  into.extensionMask = 0;
  if (profile != 0xbede && (profile & 0xfff0) != 0x1000) return true;
  const ExtensionReader reader(bytes, extensionStart, header, profile);
  for (int i = 0; i < kCopied; i++) {
    if (sourceIds[i] == 0) continue;
    if (!reader.find(sourceIds[i], into.extensionOffset[i], into.extensionLength[i])) continue;
    into.extensionMask |= 1u << i;
  }
  return true;
}
