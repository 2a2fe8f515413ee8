import Synchronization

/// What is known of an automaton's configurations: found when first needed, and kept, as most recur.
///
/// A configuration is a set of places, each a state with a stack of states to return to; configurations are numbered, and of each
/// the next one by each class of bytes is kept, and the mask of tokens that may follow.
final class ConstraintTables: Sendable {
    private let contents: Mutex<Contents>

    init(_ automaton: PushdownAutomaton, _ vocabulary: ConstraintVocabulary) {
        contents = Mutex(Contents(automaton, vocabulary))
    }

    /// Number 0 is of the configuration that nothing leads on from and that is no end.
    static let dead: Int32 = 0

    /// The configuration before the text.
    func start() throws -> Int32 { try contents.withLock { try $0.start() } }

    /// The configuration after `bytes`.
    func advance(_ configuration: Int32, _ bytes: [UInt8]) throws -> Int32 {
        try contents.withLock { contents in
            contents.work = 0
            return try bytes.reduce(configuration) { try contents.next($0, $1) }
        }
    }

    func mask(_ configuration: Int32) throws -> TokenMask { try contents.withLock { try $0.mask(configuration) } }

    /// Whether the text may end here, and whether it may go on.
    func ending(_ configuration: Int32) -> (isComplete: Bool, goesOn: Bool) {
        contents.withLock { contents in
            let value = contents.configurations[Int(configuration)]
            return (value.isComplete, !value.places.isEmpty)
        }
    }

    /// Whether they have grown so large that new ones should be begun.
    var isFull: Bool { contents.withLock { $0.isFull } }

    /// The number here of a configuration of `other` tables.
    func configuration(_ number: Int32, of other: ConstraintTables) throws -> Int32 {
        let (places, isComplete) = other.contents.withLock { $0.expanded(number) }
        return try contents.withLock { try $0.imported(places, isComplete: isComplete) }
    }

    // MARK: Contents

    private struct Configuration {
        /// Ascending: the stack's number above the state's.
        var places: [UInt64]
        var isComplete: Bool
        /// Where all that may follow is the rest of strings: how many characters that need no escape may; 0 elsewhere.
        var room: Int32
    }

    /// What tells configurations apart.
    private struct Key: Hashable {
        var places: [UInt64]
        var isComplete: Bool
    }

    private struct Contents {
        let automaton: PushdownAutomaton
        let vocabulary: ConstraintVocabulary
        let classCount: Int
        var configurations: [Configuration] = [Configuration(places: [], isComplete: false, room: 0)]
        private var numbers: [Key: Int32] = [:]
        /// By configuration and class of bytes; -1 is not known yet.
        private var transitions: [Int32]
        private var masks: [Int32: TokenMask] = [:]
        /// Stacks as lists: what stands on top, and the stack below. 0 is the empty one.
        private var stacks: [(top: Int32, below: Int32)] = [(-1, 0)]
        private var stackNumbers: [UInt64: Int32] = [:]
        /// Places looked at since it was set to 0.
        var work = 0

        /// The most places that are looked at for one token, so that an ambiguous schema holds nobody up.
        private static let mostWork = 100_000
        private static let mostConfigurations = 1 << 14
        private static let mostStacks = 1 << 20
        private static let mostMaskBytes = 8 << 20

        init(_ automaton: PushdownAutomaton, _ vocabulary: ConstraintVocabulary) {
            (self.automaton, self.vocabulary) = (automaton, vocabulary)
            classCount = automaton.representatives.count
            transitions = [Int32](repeating: ConstraintTables.dead, count: classCount)
        }

        var isFull: Bool {
            configurations.count > Self.mostConfigurations || stacks.count > Self.mostStacks
                || masks.count * (vocabulary.size / 8 + 1) > Self.mostMaskBytes
        }

        private static func place(_ state: Int32, _ stack: Int32) -> UInt64 {
            UInt64(UInt32(bitPattern: stack)) << 32 | UInt64(UInt32(bitPattern: state))
        }

        private mutating func pushed(_ state: Int32, on stack: Int32) -> Int32 {
            let key = Self.place(state, stack)
            if let number = stackNumbers[key] { return number }
            stacks.append((state, stack))
            let number = Int32(stacks.count - 1)
            stackNumbers[key] = number
            return number
        }

        mutating func start() throws -> Int32 {
            work = 0
            return try configuration([Self.place(automaton.starts[Int(automaton.root)], 0)])
        }

        // MARK: Configurations

        /// The configuration of the places that are reached from `cores` without a byte.
        private mutating func configuration(_ cores: [UInt64], isComplete wasComplete: Bool = false) throws -> Int32 {
            var pending = cores.map { (place: $0, isText: false) }
            // Places within strings are told from others, though they be the same.
            var seen: [Set<UInt64>] = [Set(cores), []]
            var found: [UInt64] = []
            var (isComplete, isText, room) = (wasComplete, true, Int32(0))
            func add(_ state: Int32, _ stack: Int32, _ isText: Bool) {
                let place = Self.place(state, stack)
                if seen[isText ? 1 : 0].insert(place).inserted { pending.append((place, isText)) }
            }
            while let (place, wasText) = pending.popLast() {
                work += 1
                guard work <= Self.mostWork else {
                    throw ConstraintError.tooLarge(
                        what: "too many of its parts can stand in one place", limit: Self.mostWork)
                }
                let (state, stack) = (
                    Int32(truncatingIfNeeded: place & 0xFFFF_FFFF), Int32(truncatingIfNeeded: place >> 32)
                )
                let value = automaton.states[Int(state)]
                room = max(room, value.room)
                let isInText = wasText || value.room > 0
                if !value.edges.isEmpty {
                    found.append(place)
                    isText = isText && isInText
                }
                if value.isEnd {
                    if stack == 0 {
                        isComplete = true
                    } else {
                        add(stacks[Int(stack)].top, stacks[Int(stack)].below, isInText)
                    }
                }
                for target in value.silent { add(target, stack, isInText) }
                for call in value.calls {
                    // What ends with the call needs no place to return to.
                    let isLast = automaton.states[Int(call.back)].isBareEnd
                    add(
                        automaton.starts[Int(call.rule)], isLast ? stack : pushed(call.back, on: stack), isInText)
                }
            }
            if seen[1].isEmpty == false { found = Array(Set(found)) }
            return intern(
                Configuration(places: found.sorted(), isComplete: isComplete, room: isText ? room : 0))
        }

        private mutating func intern(_ configuration: Configuration) -> Int32 {
            if configuration.places.isEmpty, !configuration.isComplete { return ConstraintTables.dead }
            let key = Key(places: configuration.places, isComplete: configuration.isComplete)
            if let number = numbers[key] { return number }
            configurations.append(configuration)
            let number = Int32(configurations.count - 1)
            numbers[key] = number
            transitions += repeatElement(-1, count: classCount)
            return number
        }

        @inline(__always)
        mutating func next(_ configuration: Int32, _ byte: UInt8) throws -> Int32 {
            let place = Int(configuration) * classCount + Int(automaton.classes[Int(byte)])
            let known = transitions[place]
            if known >= 0 { return known }
            let found = try find(configuration, automaton.representatives[Int(automaton.classes[Int(byte)])])
            transitions[place] = found
            return found
        }

        private mutating func find(_ configuration: Int32, _ byte: UInt8) throws -> Int32 {
            var cores: [UInt64] = []
            for place in configurations[Int(configuration)].places {
                let state = automaton.states[Int(place & 0xFFFF_FFFF)]
                for edge in state.edges where edge.low <= byte && byte <= edge.high {
                    cores.append(place & ~0xFFFF_FFFF | UInt64(edge.target))
                }
            }
            work += configurations[Int(configuration)].places.count
            return cores.isEmpty ? ConstraintTables.dead : try self.configuration(cores)
        }

        // MARK: Masks

        mutating func mask(_ configuration: Int32) throws -> TokenMask {
            if let mask = masks[configuration] { return mask }
            work = 0
            let room = Int(configurations[Int(configuration)].room)
            var mask: TokenMask
            if room > 0 {
                // Of tokens without anything special it matters only how many characters they have.
                mask = vocabulary.plain[min(room, vocabulary.plain.count - 1)]
            } else {
                mask = TokenMask(vocabularySize: vocabulary.size)
                try walk(vocabulary.plainTrie, configuration, &mask)
            }
            try walk(vocabulary.otherTrie, configuration, &mask)
            masks[configuration] = mask
            return mask
        }

        /// Adds the tokens of `trie` that may follow.
        private mutating func walk(_ trie: TokenTrie, _ configuration: Int32, _ mask: inout TokenMask) throws {
            var path = [Int32](repeating: configuration, count: trie.depth + 1)
            var node = 0
            while node < trie.count {
                let depth = Int(trie.depths[node])
                let next = try next(path[depth], trie.bytes[node])
                guard next != ConstraintTables.dead else {
                    node = Int(trie.ends[node])
                    continue
                }
                path[depth + 1] = next
                for index in Int(trie.firsts[node])..<Int(trie.firsts[node + 1]) { mask[trie.tokens[index]] = true }
                node += 1
            }
        }

        // MARK: Other tables

        /// The places of a configuration with their whole stacks.
        func expanded(_ configuration: Int32) -> (places: [(state: Int32, stack: [Int32])], isComplete: Bool) {
            let value = configurations[Int(configuration)]
            let places = value.places.map { place -> (state: Int32, stack: [Int32]) in
                var (stack, number) = ([Int32](), Int(place >> 32))
                while number != 0 {
                    stack.append(stacks[number].top)
                    number = Int(stacks[number].below)
                }
                return (Int32(truncatingIfNeeded: place & 0xFFFF_FFFF), stack)
            }
            return (places, value.isComplete)
        }

        mutating func imported(
            _ places: [(state: Int32, stack: [Int32])], isComplete: Bool
        ) throws -> Int32 {
            work = 0
            let cores = places.map { state, stack in
                Self.place(state, stack.reversed().reduce(0) { pushed($1, on: $0) })
            }
            return try configuration(cores, isComplete: isComplete)
        }
    }
}
