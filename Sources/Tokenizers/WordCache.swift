/// A bounded memory of words and their ids: a direct-mapped table in which a new word replaces what has its place.
///
/// Words and results that do not fit an entry are not remembered. Not thread-safe; unchecked because ``Tokenizer`` hands
/// a cache to one encoding at a time.
final class WordCache: @unchecked Sendable {
    static let maximumWordLength = 38
    static let maximumIDs = 6
    private static let entryCount = 1 << 15
    private static let stride = 64

    /// Entries of 64 bytes: the word's length and its number of ids, the word, and the ids from byte 40.
    private let entries: UnsafeMutableRawPointer

    init() {
        entries = .allocate(byteCount: Self.entryCount * Self.stride, alignment: 64)
        entries.initializeMemory(as: UInt8.self, repeating: 0, count: Self.entryCount * Self.stride)
    }

    deinit {
        entries.deallocate()
    }

    @inline(__always)
    private func entry(_ word: UnsafeBufferPointer<UInt8>) -> UnsafeMutableRawPointer {
        entries + (Int(truncatingIfNeeded: hash(word)) & (Self.entryCount - 1)) * Self.stride
    }

    /// Appends the ids of `word` to `ids` and returns true, if it is remembered.
    @inline(__always)
    func find(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) -> Bool {
        guard word.count <= Self.maximumWordLength else { return false }
        let entry = entry(word)
        guard Int(entry.load(as: UInt8.self)) == word.count else { return false }
        for i in 0..<word.count where entry.load(fromByteOffset: i + 2, as: UInt8.self) != word[i] { return false }
        for i in 0..<Int(entry.load(fromByteOffset: 1, as: UInt8.self)) {
            ids.append(entry.load(fromByteOffset: 40 + 4 * i, as: Int32.self))
        }
        return true
    }

    func insert(_ word: UnsafeBufferPointer<UInt8>, _ ids: ArraySlice<Int32>) {
        guard 1...Self.maximumWordLength ~= word.count, ids.count <= Self.maximumIDs else { return }
        let entry = entry(word)
        entry.storeBytes(of: UInt8(truncatingIfNeeded: word.count), as: UInt8.self)
        entry.storeBytes(of: UInt8(truncatingIfNeeded: ids.count), toByteOffset: 1, as: UInt8.self)
        for (i, byte) in word.enumerated() { entry.storeBytes(of: byte, toByteOffset: i + 2, as: UInt8.self) }
        for (i, id) in ids.enumerated() { entry.storeBytes(of: id, toByteOffset: 40 + 4 * i, as: Int32.self) }
    }
}
