/// The unigram language model (Kudo 2018, arXiv 1804.10959): of all ways to write a word in tokens, the one whose scores
/// have the greatest sum.
struct UnigramEncoder: WordEncoder {
    private let tokens: TokenTable
    private let scores: [Double]
    private let unknownID: Int32?
    /// A character without a token costs this much.
    private let unknownScore: Double
    /// The tokens of the bytes, `<0x00>` to `<0xFF>`, if they stand for characters without a token; -1 where there is none.
    private let byteIDs: [Int32]?
    /// A tree of the tokens' bytes: the node behind `256 * node + byte`.
    private var children: [Int: Int32] = [:]
    /// For every node the token that ends there, -1 for none.
    private var tokenAtNode: [Int32] = [-1]

    /// The `model` of a tokenizer.json.
    init(_ model: JSONNode) throws {
        let entries = try model.required("vocab").elements()
        var texts: [[UInt8]?] = [], scores: [Double] = []
        for (text, score) in try entries.map(Self.entry) {
            texts.append(Array(text.utf8))
            scores.append(score)
        }
        tokens = TokenTable(texts)
        self.scores = scores
        if let unknown = model.optional("unk_id") {
            let id = try unknown.tokenID()
            guard id < scores.count else { throw unknown.expected("an id below the number of tokens, \(scores.count)") }
            unknownID = Int32(id)
        } else {
            unknownID = nil
        }
        unknownScore = (scores.min() ?? 0) - 10
        byteIDs = try model.flag("byte_fallback", default: false) ? BytePairEncoder.fallbackIDs(tokens) : nil
        for (id, text) in texts.enumerated() {
            guard let text, !text.isEmpty else { continue }
            var node = 0
            for byte in text {
                let key = 256 * node + Int(byte)
                if let child = children[key] {
                    node = Int(child)
                } else {
                    children[key] = Int32(tokenAtNode.count)
                    node = tokenAtNode.count
                    tokenAtNode.append(-1)
                }
            }
            // Of equal tokens, the last one is meant.
            tokenAtNode[node] = Int32(id)
        }
    }

    /// A token and its score.
    private static func entry(_ node: JSONNode) throws -> (String, Double) {
        let parts = try node.elements()
        guard parts.count == 2, let score = parts[1].value.double, score.isFinite else {
            throw node.expected("a token and its score")
        }
        return (try parts[0].string(), score)
    }

    /// The tokens of the `model` of a tokenizer.json, by id.
    static func vocabulary(_ model: JSONNode) throws -> [[UInt8]?] {
        let entries = try model.required("vocab").elements()
        guard entries.count <= TokenTable.maximumID else {
            throw model.expected("at most \(TokenTable.maximumID) tokens")
        }
        return try entries.map { Array(try entry($0).0.utf8) }
    }

    /// No token has `▁` anywhere but at its beginning, so that text may be cut before every run of them.
    var separatesAtMarker: Bool {
        let marker = Metaspace.marker
        guard tokens.id(of: "\u{2581}") != nil else { return false }
        return (0..<tokens.count).allSatisfy { id in
            guard let token = tokens[id] else { return true }
            var rest = token
            while rest.starts(with: marker) { rest = rest.dropFirst(marker.count) }
            return ByteSearch.first(marker, in: Array(rest)) == nil
        }
    }

    var separatesAtSpaces: Bool { separatesAtMarker }

    /// Appends the ids of `word` to `ids`.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` for a character without a token in a model without an
    ///   unknown token.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout BytePairScratch
    ) throws {
        /// The best way to write the text up to a position: its score, its last token, and where that begins.
        struct Path {
            var score = 0.0
            var id: Int32 = -1
            var start = -1
        }
        let text = UTF8Text(bytes: word)
        var best = [Path](repeating: Path(), count: word.count + 1)
        var position = 0
        while position < word.count {
            let end = text.scalar(at: position).end
            let score = best[position].score
            var hasSingle = false
            var node = 0, reach = position
            while reach < word.count, let child = children[256 * node + Int(word[reach])] {
                node = Int(child)
                reach += 1
                let id = tokenAtNode[node]
                guard id >= 0 else { continue }
                if best[reach].start < 0 || score + scores[Int(id)] > best[reach].score {
                    best[reach] = Path(score: score + scores[Int(id)], id: id, start: position)
                }
                if reach == end { hasSingle = true }
            }
            if !hasSingle, best[end].start < 0 || score + unknownScore > best[end].score {
                guard let unknownID else {
                    throw TokenizerError.limit(
                        file: "tokenizer.json", component: "model",
                        reason: "it has no unknown token, unk_id, and the text has a character without a token")
                }
                best[end] = Path(score: score + unknownScore, id: unknownID, start: position)
            }
            position = end
        }
        append(best.count - 1, of: word, into: &ids) { (best[$0].start, best[$0].id) }
    }

    /// Walks back over the best path and appends its tokens; neighbouring unknown characters are one.
    private func append(
        _ end: Int, of word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32],
        _ path: (Int) -> (start: Int, id: Int32)
    ) {
        var pieces: [(range: Range<Int>, id: Int32)] = []
        var end = end
        while end > 0 {
            let (start, id) = path(end)
            if id == unknownID, let last = pieces.last, last.id == unknownID {
                pieces[pieces.count - 1].range = start..<last.range.upperBound
            } else {
                pieces.append((start..<end, id))
            }
            end = start
        }
        for (range, id) in pieces.reversed() {
            guard id == unknownID else {
                ids.append(id)
                continue
            }
            let bytes = UnsafeBufferPointer(rebasing: word[range])
            if let known = tokens.id(of: bytes) {
                ids.append(known)
            } else if let byteIDs, bytes.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
                for byte in bytes { ids.append(byteIDs[Int(byte)]) }
            } else {
                ids.append(id)
            }
        }
    }
}
