extension UnsafeBufferPointer<UInt8> {
    /// The offset of the first byte that is not part of a well-formed character; nil if all are.
    package var firstInvalidUTF8: Int? {
        var position = 0
        while position < count {
            let first = self[position]
            if first < 0x80 {
                position += 1
                continue
            }
            let (length, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return position
            }
            guard position + length <= count, second ~= self[position + 1],
                self[(position + 2)..<(position + length)].allSatisfy({ $0 & 0xC0 == 0x80 })
            else { return position }
            position += length
        }
        return nil
    }
}

extension [UInt8] {
    /// How many bytes at the end may be the beginning of a character.
    package var unfinishedUTF8: Int {
        for length in 1...3 where length <= count {
            let start = count - length
            let first = self[start]
            if first & 0xC0 == 0x80 { continue }
            let (needed, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (needed, second) = (2, 0x80...0xBF)
            case 0xE0: (needed, second) = (3, 0xA0...0xBF)
            case 0xED: (needed, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (needed, second) = (3, 0x80...0xBF)
            case 0xF0: (needed, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (needed, second) = (4, 0x80...0xBF)
            case 0xF4: (needed, second) = (4, 0x80...0x8F)
            default: return 0
            }
            return length < needed && (length == 1 || second ~= self[start + 1]) ? length : 0
        }
        return 0
    }
}
