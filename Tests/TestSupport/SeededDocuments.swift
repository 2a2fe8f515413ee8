import Support

/// Text of seeded words, `count` documents.
package func seededDocuments(_ count: Int, seed: UInt64) -> [String] {
    var generator = SplitMix64(seed: seed)
    let words = ["the", "fox", "jumps", "über", "日本", "over", "42", "lazy", "dog,", "and\n", "then.", "🦊"]
    return (0..<count).map { number in
        let length = Int.random(in: 1...120, using: &generator)
        return "\(number): "
            + (0..<length).map { _ in words.randomElement(using: &generator) ?? "" }.joined(separator: " ")
    }
}
