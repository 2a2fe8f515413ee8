import Support

/// Statements that are hidden in the user's text, and asked for behind it.
enum RecallNeedles {
    /// What is stated, and how it is asked for.
    private static let facts = [
        ("The access code of {key} is {value}.", "What is the access code of {key}? {value}\n"),
        ("{key} can be reached under {value}.", "Under what can {key} be reached? {value}\n"),
        ("Remember that {key} goes with {value}.", "What goes with {key}? {value}\n"),
        ("In the drawer marked {key} lies {value}.", "What lies in the drawer marked {key}? {value}\n"),
        ("Only {value} opens the locker of {key}.", "What opens the locker of {key}? {value}\n"),
        ("The ticket for {key} was printed as {value}.", "As what was the ticket for {key} printed? {value}\n"),
        ("By the way, {key} has chosen {value}.", "What has {key} chosen? {value}\n"),
        ("(Editor's note: {key} = {value}.)", "What does the editor's note say of {key}? {value}\n"),
        ("They wrote {value} on the parcel for {key}.", "What was written on the parcel for {key}? {value}\n"),
        ("It was agreed that {value} would stand for {key}.", "What was to stand for {key}? {value}\n"),
        ("{value} is the combination for {key}.", "The combination for {key} is {value}.\n"),
        ("Deliver {value} to {key} before noon.", "What is to be delivered to {key}? {value}\n"),
    ]
    private static let keys: [RecallTerm] = [.place, .name, .label]
    private static let values: [RecallTerm] = [.digits, .hexadecimal, .phrase]
    /// Tokens of a document for each needle, at least, and the most needles.
    private static let span = 80
    private static let most = 8

    /// - Parameter text: the user's text, of which as much is taken as there is room for.
    static func write(to document: inout RecallDocument, _ text: [Int32], _ random: inout SplitMix64) {
        let writer = document.writer
        let limit = min(most, max(1, document.room / span), facts.count)
        let needles = facts.shuffled(using: &random).prefix(Int.random(in: 1...limit, using: &random)).map { fact in
            let key = RecallWords.one(of: keys, &random).make(&random)
            let value = RecallWords.one(of: values, &random).make(&random)
            return (
                statement: writer.tokens(" " + RecallFrame(fact.0).text(key: key, value: value)),
                question: writer.question(RecallFrame(fact.1), key: key, value: value)
            )
        }
        let pause = writer.tokens("\n\n")
        let needed = needles.reduce(pause.count) { $0 + $1.statement.count + $1.question.tokens.count }
        guard needed < document.room else { return }
        let hay = Array(text.prefix(document.room - needed))
        let places = needles.map { _ in
            writer.sentenceStart(in: hay, from: Int.random(in: 0...hay.count, using: &random))
        }.sorted()
        for (needle, (start, end)) in zip(needles, zip([0] + places, places)) {
            document.append(RecallPiece(tokens: Array(hay[start..<end])))
            document.append(RecallPiece(tokens: needle.statement))
        }
        document.append(RecallPiece(tokens: Array(hay[(places.last ?? 0)...]) + pause))
        for needle in needles.shuffled(using: &random) { document.append(needle.question) }
    }
}
