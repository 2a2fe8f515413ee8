/// The last tokens of a sequence, as many as a repetition penalty can ask for.
struct RecentTokens: Sendable {
    /// The most tokens that are kept.
    static let capacity = 4096

    /// Up to twice as many, so that they are moved seldom.
    private var held: [Int32] = []

    init(_ tokens: some Collection<Int32> = []) { append(tokens) }

    mutating func append(_ tokens: some Collection<Int32>) {
        held += tokens.suffix(Self.capacity)
        if held.count > 2 * Self.capacity { held.removeFirst(held.count - Self.capacity) }
    }

    /// The last `count` tokens, or all that are kept, oldest first.
    func last(_ count: Int) -> ArraySlice<Int32> { held.suffix(min(count, Self.capacity)) }
}
