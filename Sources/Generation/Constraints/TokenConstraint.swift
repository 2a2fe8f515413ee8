import Support
import Synchronization

/// A ``TextForm`` for the tokens of a vocabulary: which tokens may follow at each point of a text of this form, so that what is
/// generated is always valid, or the beginning of what is.
///
/// The form becomes a pushdown automaton over bytes (Willard and Louf 2023, arXiv 2307.09702; Dong et al. 2024, arXiv 2411.15100),
/// and tokens are gone through by their bytes, so that it does not matter how they are cut. What was found for one text is
/// kept for others. Values may be used on several threads at once.
public final class TokenConstraint: Sendable {
    let vocabulary: ConstraintVocabulary
    private let automaton: PushdownAutomaton
    private let tables: Mutex<ConstraintTables>

    /// Compiles `form`, which takes up to a second for the largest, and finds the tokens that a text may begin with.
    /// - Throws: ``ConstraintError`` for what is not supported, what nothing is valid by, or what is too large.
    public init(_ form: TextForm, vocabulary: ConstraintVocabulary) throws {
        self.vocabulary = vocabulary
        automaton = try FormCompiler.automaton(form)
        tables = Mutex(ConstraintTables(automaton, vocabulary))
        guard try !start().mask().isEmpty else { throw ConstraintError.deadEnd }
    }

    /// A text that has not begun.
    /// - Throws: ``ConstraintError/tooLarge(what:limit:)``.
    public func start() throws -> ConstraintState {
        let tables = roomyTables()
        return ConstraintState(constraint: self, tables: tables, configuration: try tables.start())
    }

    /// Tables that have room, which others share.
    func roomyTables() -> ConstraintTables {
        tables.withLock { tables in
            if tables.isFull { tables = ConstraintTables(automaton, vocabulary) }
            return tables
        }
    }
}

/// Where a text under a constraint stands.
public struct ConstraintState: Sendable {
    /// What the text is to be.
    public let constraint: TokenConstraint
    private var tables: ConstraintTables
    private var configuration: Int32

    init(constraint: TokenConstraint, tables: ConstraintTables, configuration: Int32) {
        (self.constraint, self.tables, self.configuration) = (constraint, tables, configuration)
    }

    /// Whether the text may end here.
    public var isComplete: Bool { tables.ending(configuration).isComplete }

    /// Whether nothing may follow.
    public var isFinished: Bool {
        let ending = tables.ending(configuration)
        return ending.isComplete && !ending.goesOn
    }

    /// The tokens that may follow.
    /// - Throws: ``ConstraintError/tooLarge(what:limit:)``.
    public func mask() throws -> TokenMask { try tables.mask(configuration) }

    /// The tokens that may be picked next: those that may follow, and `stops` where the text may end and only there.
    /// - Throws: ``ConstraintError/deadEnd`` where there are none.
    public func mask(stops: Set<Int32>) throws -> TokenMask {
        var mask = try mask()
        let isComplete = isComplete
        for stop in stops { mask[stop] = isComplete }
        guard !mask.isEmpty else { throw ConstraintError.deadEnd }
        return mask
    }

    /// Goes on by a token.
    /// - Returns: whether it may follow; where it may not, the state is as it was.
    /// - Throws: ``ConstraintError/tooLarge(what:limit:)``.
    @discardableResult
    public mutating func advance(_ token: Int32) throws -> Bool {
        let bytes = constraint.vocabulary.bytes(of: token)
        return try !bytes.isEmpty && advance(bytes)
    }

    /// Goes on by bytes of text.
    mutating func advance(_ bytes: [UInt8]) throws -> Bool {
        if tables.isFull {
            let roomy = constraint.roomyTables()
            configuration = try roomy.configuration(configuration, of: tables)
            tables = roomy
        }
        let next = try tables.advance(configuration, bytes)
        guard next != ConstraintTables.dead else { return false }
        configuration = next
        return true
    }
}
