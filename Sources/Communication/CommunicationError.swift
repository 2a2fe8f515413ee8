/// Why processes cannot begin a run together, or go on with it.
public enum CommunicationError: Error, Equatable, CustomStringConvertible {
    /// What a launcher has set, or a flag, does not make sense.
    case launch(name: String, expected: String, found: String)
    /// The ranks have not found each other.
    case meeting(place: String, reason: String)
    /// A rank has come with something else than rank 0 has.
    case mismatch(rank: Int, host: String, what: String, found: String, expected: String, host0: String)
    /// A rank has ended, or is not heard of any more.
    case lost(rank: Int, host: String, reason: String)
    /// Ranks have not come to an operation for so many seconds.
    case late(ranks: [Int], seconds: Int)
    /// A tensor that the ranks cannot add up or hand out.
    case tensor(operation: String, expected: String, found: String)

    /// What is said of a rank that has ended because of an error, before its reason.
    static let stopped = "has stopped: "

    /// Whether the rank that is lost has said why itself.
    public var isToldElsewhere: Bool {
        if case .lost(_, _, let reason) = self { reason.hasPrefix(Self.stopped) } else { false }
    }

    public var description: String {
        switch self {
        case .launch(let name, let expected, let found): "\(name): expected \(expected), found \(found)"
        case .meeting(let place, let reason): "\(place): \(reason)"
        case .mismatch(let rank, let host, let what, let found, let expected, let host0):
            "rank \(rank) on \(host) has \(what) \(found), rank 0 on \(host0) \(expected)"
        case .lost(let rank, let host, let reason): "rank \(rank) on \(host) \(reason)"
        case .late(let ranks, let seconds):
            "nothing came from \(ranks.count == 1 ? "rank" : "ranks") \(ranks.map(String.init).joined(separator: ", ")) "
                + "for \(seconds) s"
        case .tensor(let operation, let expected, let found):
            "\(operation): expected \(expected), found \(found)"
        }
    }
}
