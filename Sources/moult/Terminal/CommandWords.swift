import ArgumentParser
import Support

/// The words of a command line, before they are parsed.
enum CommandWords {
    /// A number below zero behind an option is its value: "--top-k -1" as "--top-k=-1", so that the answer is about the number.
    static func joiningNegativeNumbers(_ words: [String]) -> [String] {
        var (result, isOpen) = ([String](), true)
        for word in words {
            if isOpen, word.hasPrefix("-"), Double(word) != nil, let option = result.last, option.hasPrefix("-"),
                option.count > 1, !option.contains("="), Double(option) == nil
            {
                result[result.count - 1] = "\(option)=\(word)"
            } else {
                result.append(word)
            }
            if word == "--" { isOpen = false }
        }
        return result
    }

    /// An error about the first option of `words` that the command's help does not name, when another is close to it.
    static func misspelling(_ words: [String], help: String) -> ValidationError? {
        let names = help.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")) }.map(String.init)
            .filter { $0.hasPrefix("--") }
        for word in words.prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
            let option = String(word.prefix { $0 != "=" })
            guard !names.contains(option), Suggestion.nearest(option, among: names) != nil else { continue }
            return ValidationError("Unknown option '\(option)'\(Suggestion.hint(option, among: names))")
        }
        return nil
    }

    /// - Throws: `ValidationError` when the first word is none of `commands`.
    static func check(_ words: [String], commands: [String]) throws {
        let word = words.first == "help" ? words.dropFirst().first : words.first
        guard let word, !word.hasPrefix("-"), word != "help", !commands.contains(word) else { return }
        throw ValidationError(
            "'\(word)' is no command\(Suggestion.hint(word, among: commands)) 'moult help' lists them.")
    }
}
