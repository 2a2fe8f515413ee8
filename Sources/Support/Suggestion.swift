/// The name of a list that somebody meant who wrote another.
package enum Suggestion {
    /// "; did you mean 'lambada'?", or nothing when no name is close.
    package static func hint(_ given: String, among names: some Sequence<String>) -> String {
        nearest(given, among: names).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// The name that fewest changes of a letter make of `given`: at most a third of its letters, and at least one is allowed.
    package static func nearest(_ given: String, among names: some Sequence<String>) -> String? {
        let letters = Array(given.lowercased())
        // What is longer is no slip of a finger, and would take long.
        guard !letters.isEmpty, letters.count <= 64 else { return nil }
        let limit = max(1, letters.count / 3)
        return names.filter { abs($0.count - letters.count) <= limit }
            .map { (name: $0, distance: distance(letters, Array($0.lowercased()))) }
            .filter { $0.distance <= limit }.min { $0.distance < $1.distance }?.name
    }

    /// Letters put in, left out, changed or exchanged with their neighbour (optimal string alignment).
    private static func distance(_ first: [Character], _ second: [Character]) -> Int {
        var (before, last, row) = ([Int](), [Int](), Array(0...second.count))
        for (place, letter) in first.enumerated() {
            (before, last, row) = (last, row, [place + 1])
            for (other, candidate) in second.enumerated() {
                var least = min(last[other + 1] + 1, row[other] + 1, last[other] + (letter == candidate ? 0 : 1))
                if place > 0, other > 0, letter == second[other - 1], first[place - 1] == candidate {
                    least = min(least, before[other - 1] + 1)
                }
                row.append(least)
            }
        }
        return row[second.count]
    }
}
