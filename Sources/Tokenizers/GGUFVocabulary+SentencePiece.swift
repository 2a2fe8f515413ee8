import Support

extension GGUFVocabulary {
    /// Spaces written as `▁`, and one put before the text.
    func spaces(prefix: Bool) -> JSONValue {
        let replacement: JSONValue = ["type": "Replace", "pattern": ["String": " "], "content": "▁"]
        guard prefix else { return replacement }
        return ["type": "Sequence", "normalizers": [["type": "Prepend", "prepend": "▁"], replacement]]
    }

    /// The way back from pieces to text.
    func pieces(prefix: Bool) -> JSONValue {
        var steps: [JSONValue] = [
            ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"],
            ["type": "Fuse"],
        ]
        if prefix { steps.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        return ["type": "Sequence", "decoders": .array(steps)]
    }

    /// SentencePiece joins the two neighbours whose joined text has the best score. As merges: every way to make a piece of
    /// two others, by falling score. Only ordinary pieces are joined.
    func mergesByScore(_ table: TokenTable) -> [JSONValue] {
        func isNormal(_ text: String) -> Bool { table.id(of: text).map { type(of: Int($0)) == .normal } ?? false }
        let scored = tokens.indices.filter { type(of: $0) == .normal }.map { id in
            (id: id, score: scores.indices.contains(id) ? scores[id] : 0)
        }
        return scored.sorted { ($1.score, $0.id) < ($0.score, $1.id) }.flatMap { id, _ -> [JSONValue] in
            let scalars = tokens[id].unicodeScalars
            return scalars.indices.dropFirst().compactMap { cut in
                let left = String(scalars[..<cut]), right = String(scalars[cut...])
                return isNormal(left) && isNormal(right) ? [.string(left), .string(right)] : nil
            }
        }
    }
}
