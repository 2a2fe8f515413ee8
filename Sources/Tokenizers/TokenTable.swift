/// Byte strings numbered by token id, and the way back from a byte string to its id.
struct TokenTable: Sendable {
    /// The largest id accepted from a file, far above real vocabularies, so that a bad one cannot exhaust memory.
    static let maximumID = (1 << 22) - 1

    private var storage: [UInt8] = []
    private var offsets: [Int] = [0]
    private var isPresent: [Bool] = []
    /// An open-addressing hash table of ids; -1 is free. The size is a power of two.
    private var slots: [Int32]
    private let mask: Int
    /// So that nobody can prepare tokens that all have one place.
    private let seed = UInt64.random(in: .min ... .max)

    /// - Parameter tokens: the byte strings; nil for an id that has none. Of equal ones, the last is found by its bytes.
    init(_ tokens: [[UInt8]?]) {
        var capacity = 16
        while capacity < tokens.count * 2 { capacity *= 2 }
        slots = Array(repeating: -1, count: capacity)
        mask = capacity - 1
        storage.reserveCapacity(tokens.reduce(0) { $0 + ($1?.count ?? 0) })
        offsets.reserveCapacity(tokens.count + 1)
        for token in tokens {
            storage.append(contentsOf: token ?? [])
            offsets.append(storage.count)
            isPresent.append(token != nil)
        }
        for (id, token) in tokens.enumerated() {
            guard let token else { continue }
            let slot = token.withUnsafeBufferPointer { self.slot(of: $0) }
            slots[slot] = Int32(truncatingIfNeeded: id)
        }
    }

    /// One more than the largest id.
    var count: Int { isPresent.count }

    /// The bytes of a token; nil for ids that have none.
    subscript(id: Int) -> ArraySlice<UInt8>? {
        guard isPresent.indices.contains(id), isPresent[id] else { return nil }
        return storage[offsets[id]..<offsets[id + 1]]
    }

    func id(of bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
        let id = slots[slot(of: bytes)]
        return id < 0 ? nil : id
    }

    func id(of text: String) -> Int32? {
        Array(text.utf8).withUnsafeBufferPointer { id(of: $0) }
    }

    /// The slot that holds these bytes, or the free one where they belong.
    private func slot(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var slot = Int(truncatingIfNeeded: hash(bytes, seed)) & mask
        while slots[slot] >= 0 {
            let id = Int(slots[slot])
            if bytes.count == offsets[id + 1] - offsets[id], bytes.elementsEqual(storage[offsets[id]..<offsets[id + 1]])
            {
                break
            }
            slot = (slot + 1) & mask
        }
        return slot
    }
}

/// A fast hash of short byte strings, for tables in memory only.
@inline(__always)
func hash(_ bytes: UnsafeBufferPointer<UInt8>, _ seed: UInt64 = 0) -> UInt64 {
    var state = seed ^ UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15
    guard let base = bytes.baseAddress else { return state }
    let raw = UnsafeRawPointer(base)
    var position = 0
    while position + 8 <= bytes.count {
        state = mixed(state ^ raw.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        position += 8
    }
    var rest: UInt64 = 0
    while position < bytes.count {
        rest = rest << 8 | UInt64(bytes[position])
        position += 1
    }
    return mixed(state ^ rest)
}

/// The two halves of a product with a large odd constant, folded together.
@inline(__always)
func mixed(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return product.high ^ product.low
}
