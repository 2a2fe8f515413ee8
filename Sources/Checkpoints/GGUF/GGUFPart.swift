import Support

/// The names of the files of a model that llama.cpp's tools have split.
enum GGUFPart {
    /// How the name of part `part` of `count`, from 0 on, ends.
    static func ending(_ part: Int, of count: Int) -> String { "-\(padded(part + 1))-of-\(padded(count)).gguf" }

    /// The path of another part beside the one at `path`; nil when that has no part's name.
    static func path(_ path: String, part: Int, of count: Int) -> String? {
        let place = FilePath(path)
        guard let own = (0..<count).first(where: { place.name.hasSuffix(ending($0, of: count)) }) else { return nil }
        return place.sibling(place.name.dropLast(ending(own, of: count).count) + ending(part, of: count))
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}
