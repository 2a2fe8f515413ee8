/// Valid UTF-8 in memory, read one scalar at a time.
///
/// Positions are byte offsets of the start of a scalar; callers keep them inside the text.
struct UTF8Text {
    let bytes: UnsafeBufferPointer<UInt8>

    @inline(__always)
    subscript(position: Int) -> UInt8 { bytes[position] }

    /// The scalar that starts at `position`, and where the next one starts.
    @inline(__always)
    func scalar(at position: Int) -> (value: UInt32, end: Int) {
        let first = UInt32(bytes[position])
        if first < 0x80 { return (first, position + 1) }
        let second = UInt32(bytes[position + 1] & 0x3F)
        if first < 0xE0 { return ((first & 0x1F) << 6 | second, position + 2) }
        let third = UInt32(bytes[position + 2] & 0x3F)
        if first < 0xF0 { return ((first & 0x0F) << 12 | second << 6 | third, position + 3) }
        return ((first & 0x07) << 18 | second << 12 | third << 6 | UInt32(bytes[position + 3] & 0x3F), position + 4)
    }

    /// The class of the scalar that starts at `position`, and where the next one starts.
    @inline(__always)
    func characterClass(at position: Int) -> (value: CharacterClass, end: Int) {
        let (scalar, end) = scalar(at: position)
        return (CharacterClass.of(scalar), end)
    }

    /// The start of the scalar that ends before `position`.
    @inline(__always)
    func start(before position: Int) -> Int {
        var start = position - 1
        while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    /// The end of the longest run from `position` of scalars for which `predicate` holds.
    @inline(__always)
    func endOfRun(from position: Int, limit: Int, where predicate: (CharacterClass) -> Bool) -> Int {
        var position = position
        while position < limit {
            let (value, end) = characterClass(at: position)
            guard predicate(value) else { break }
            position = end
        }
        return position
    }
}
