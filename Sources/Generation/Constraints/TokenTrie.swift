/// Tokens by their bytes, so that an automaton goes through beginnings that tokens share once. Nodes stand in the order in which
/// they are first met going down.
struct TokenTrie: Sendable {
    /// The byte that leads to each node.
    private(set) var bytes: [UInt8] = []
    /// The number of bytes before it.
    private(set) var depths: [UInt16] = []
    /// The node behind all those below each node.
    private(set) var ends: [Int32] = []
    /// Where in `tokens` those that end at each node begin.
    private(set) var firsts: [Int32] = []
    private(set) var tokens: [Int32] = []
    /// The most bytes of a token.
    private(set) var depth = 0

    /// - Parameter entries: tokens with their bytes, of which there is at least one.
    init(_ entries: [(token: Int32, bytes: [UInt8])]) {
        let sorted = entries.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        var open: [Int32] = []
        var previous: [UInt8] = []
        for (token, text) in sorted where !text.isEmpty && text.count < Int(UInt16.max) {
            let shared = zip(previous, text).prefix { $0 == $1 }.count
            while open.count > shared { if let node = open.popLast() { ends[Int(node)] = Int32(bytes.count) } }
            for place in shared..<text.count {
                open.append(Int32(bytes.count))
                bytes.append(text[place])
                depths.append(UInt16(place))
                ends.append(0)
                firsts.append(Int32(tokens.count))
            }
            tokens.append(token)
            previous = text
            depth = max(depth, text.count)
        }
        for node in open { ends[Int(node)] = Int32(bytes.count) }
        firsts.append(Int32(tokens.count))
    }

    var count: Int { bytes.count }
}
