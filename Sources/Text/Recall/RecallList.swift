import Support

/// A list of keys with their values in one of many notations, with questions between its parts and behind it.
struct RecallList {
    private let notation: RecallNotation
    private let keys: RecallTerm
    private let values: RecallTerm
    private let noun: String
    private var used: Set<String> = []
    /// What has not been asked for yet.
    private var pairs: [(key: String, value: String)] = []

    private init(_ random: inout SplitMix64) {
        notation = RecallWords.one(of: RecallNotation.all, &random)
        keys = RecallWords.one(of: RecallTerm.keys, &random)
        values = RecallWords.one(of: RecallTerm.values, &random)
        noun = RecallWords.one(of: values.nouns, &random)
    }

    /// Writes a list in one to three parts, each followed by questions about all that came before.
    static func write(to document: inout RecallDocument, _ random: inout SplitMix64) {
        var list = RecallList(&random)
        list.write(to: &document, &random)
    }

    private mutating func write(to document: inout RecallDocument, _ random: inout SplitMix64) {
        let (start, parts) = (document.room, document.room < 200 ? 1 : Int.random(in: 1...3, using: &random))
        for part in (0..<parts).reversed() {
            // Room that is to be left behind the part, and behind its list.
            let end = start * part / parts
            let asked = Double(document.room - end) * (0.3 + 0.4 * random.uniform())
            writePairs(to: &document, leaving: end + Int(asked), &random)
            let frame = question(&random)
            while document.room > end, !pairs.isEmpty {
                let (key, value) = pairs.remove(at: Int.random(in: pairs.indices, using: &random))
                guard document.append(document.writer.question(frame, key: key, value: value)) else { return }
            }
        }
    }

    /// At least two pairs, and as many as leave `room` tokens.
    private mutating func writePairs(to document: inout RecallDocument, leaving room: Int, _ random: inout SplitMix64) {
        let frame = RecallFrame(notation.line, noun: noun)
        document.append(RecallFrame(notation.opening, noun: noun).text(key: "", value: ""))
        while pairs.count < 2 || document.room > room {
            let (key, value) = (unusedKey(&random), values.make(&random))
            guard document.append(frame.text(key: key, value: value)) else { break }
            pairs.append((key, value))
        }
        document.append(RecallFrame(notation.closing + "\n", noun: noun).text(key: "", value: ""))
    }

    /// As the list has it, or as people ask.
    private func question(_ random: inout SplitMix64) -> RecallFrame {
        let asks = Int.random(in: 0..<3, using: &random) > 0
        return RecallFrame(asks ? RecallWords.one(of: RecallNotation.questions, &random) : notation.line, noun: noun)
    }

    private mutating func unusedKey(_ random: inout SplitMix64) -> String {
        for _ in 0..<8 {
            let key = keys.make(&random)
            if used.insert(key).inserted { return key }
        }
        // A long list has more keys than there are words.
        let (key, number) = (keys.make(&random), used.count)
        used.insert("\(key) \(number)")
        return "\(key) \(number)"
    }
}
