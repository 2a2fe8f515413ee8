/// Where a text of more than `limit` bytes is cut: behind the last line's end in the second half of the limit, else
/// before the last space there, else at a character. A cut never divides a character of valid UTF-8.
package func textCut(_ bytes: ArraySlice<UInt8>, limit: Int) -> Int {
    let start = bytes.startIndex
    let half = bytes[(start + limit / 2)..<(start + limit)]
    if let line = half.lastIndex(of: UInt8(ascii: "\n")) { return line + 1 - start }
    if let space = half.lastIndex(of: UInt8(ascii: " ")) { return space - start }
    var end = limit
    while end > limit - 3, bytes[start + end] & 0xC0 == 0x80 { end -= 1 }
    return end
}
