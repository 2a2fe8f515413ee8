"""XXH64 with seed 0, to put a right checksum over damage."""

import struct

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                      0x27D4EB2F165667C5)


def rotate(value, count):
    return (value << count | value >> (64 - count)) & MASK


def mix(lane, word):
    return rotate((lane + word * P2) & MASK, 31) * P1 & MASK


def xxhash64(data):
    position, value = 0, P5
    if len(data) >= 32:
        a, b, c, d = (P1 + P2) & MASK, P2, 0, -P1 & MASK
        for words in struct.iter_unpack("<4Q", data[:len(data) // 32 * 32]):
            a, b, c, d = mix(a, words[0]), mix(b, words[1]), mix(c, words[2]), mix(d, words[3])
        position = len(data) // 32 * 32
        value = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) & MASK
        for lane in (a, b, c, d):
            value = ((value ^ mix(0, lane)) * P1 + P4) & MASK
    value = (value + len(data)) & MASK
    while position + 8 <= len(data):
        word = int.from_bytes(data[position:position + 8], "little")
        value = (rotate(value ^ mix(0, word), 27) * P1 + P4) & MASK
        position += 8
    if position + 4 <= len(data):
        word = int.from_bytes(data[position:position + 4], "little")
        value = (rotate(value ^ word * P1 & MASK, 23) * P2 + P3) & MASK
        position += 4
    for byte in data[position:]:
        value = rotate(value ^ byte * P5 & MASK, 11) * P1 & MASK
    value = (value ^ value >> 33) * P2 & MASK
    value = (value ^ value >> 29) * P3 & MASK
    return value ^ value >> 32
