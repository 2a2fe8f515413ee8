/// What becomes of the matches of a pattern that splits text.
enum SplitBehavior: String, Sendable, CaseIterable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    /// Neighbouring matches stay together.
    case contiguous = "Contiguous"

    /// The `behavior` of a component of tokenizer.json.
    init(_ node: JSONNode) throws {
        guard let behavior = Self(rawValue: try node.string()) else {
            throw node.unsupported(
                "behavior", supported: Self.allCases.map(\.rawValue).joined(separator: ", "))
        }
        self = behavior
    }

    /// A stretch of text and whether the pattern matches it; a match may be empty.
    typealias Stretch = (length: Int, isMatch: Bool)

    /// The pieces that stretches of text, one behind the other, are taken for, and which of them are kept.
    func pieces(_ stretches: [Stretch]) -> [(length: Int, isKept: Bool)] {
        switch self {
        case .removed: return stretches.map { ($0.length, !$0.isMatch) }
        case .isolated: return stretches.map { ($0.length, true) }
        case .contiguous: return Self.joined(stretches) { $0 == $1 }
        case .mergedWithPrevious: return Self.joined(stretches) { isMatch, wasMatch in isMatch && !wasMatch }
        case .mergedWithNext:
            return Self.joined(stretches.reversed()) { isMatch, wasMatch in isMatch && !wasMatch }.reversed()
        }
    }

    /// Joins a stretch to the one before it where `joins` says so of the two.
    private static func joined(
        _ stretches: [Stretch], _ joins: (_ isMatch: Bool, _ wasMatch: Bool) -> Bool
    ) -> [(length: Int, isKept: Bool)] {
        var pieces: [(length: Int, isKept: Bool)] = []
        var wasMatch = false
        for stretch in stretches {
            if joins(stretch.isMatch, wasMatch), let last = pieces.indices.last {
                pieces[last].length += stretch.length
            } else {
                pieces.append((stretch.length, true))
            }
            wasMatch = stretch.isMatch
        }
        return pieces
    }
}
