import Foundation

/// A line of a conversation that begins with a slash.
struct ChatWords {
    static let commands = [
        "/save", "/load", "/fork", "/switch", "/reset", "/stats", "/forget", "/help", "/exit", "/quit", "/bye",
    ]
    /// What other programs call them.
    private static let others = ["/clear": "/reset", "/new": "/reset", "/?": "/help", "/q": "/quit"]

    let name: String
    let argument: String?

    /// - Parameter line: without spaces about it.
    init(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        name = words.first ?? ""
        argument = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : nil
    }

    /// Whether the conversation is to end.
    var isEnd: Bool { argument == nil && ["/exit", "/quit", "/bye"].contains(name) }

    /// Why it cannot be obeyed.
    var refusal: String {
        if Self.commands.contains(name) {
            return argument == nil
                ? "\(name): expected something behind it; /help says what."
                : "\(name): expected nothing behind it, found '\(argument ?? "")'."
        }
        if let meant { return "'\(name)' is no command; did you mean \(meant)? /help lists them all." }
        return "'\(name)' is no command; /help lists them. A message may begin with / behind a space."
    }

    /// The command nearest to what was typed, if it is less than half another.
    private var meant: String? {
        if let other = Self.others[name.lowercased()] { return other }
        let near = Self.commands.map { (name: $0, distance: Self.distance($0, name.lowercased())) }
            .min { $0.distance < $1.distance }
        return near.flatMap { 2 * $0.distance < name.count ? $0.name : nil }
    }

    /// Letters to add, leave out or replace.
    private static func distance(_ first: String, _ second: String) -> Int {
        guard second.count < 20 else { return Int(Int16.max) }
        let second = Array(second)
        var row = Array(0...second.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in second.indices {
                let replaced = diagonal + (letter == second[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[second.count]
    }
}
