import Checkpoints
import Foundation
import Support
import Text

/// Questions of a published task: JSON lines. A multiple choice has `context`, `choices` (each with the space before it)
/// and `gold`, the index of the right one; a cloze has `context` and `continuation`, a word without the space.
struct QuestionFile {
    let path: String

    /// - Parameter path: of a file of lines, or what it is compressed to, with .zst or .gz behind its name.
    init(path: String) { self.path = TextFile.found(path) ?? path }

    /// The first `limit` questions; all when nil.
    /// - Throws: ``EvaluationError`` or `DataError` that names the file and the line.
    func read(_ scoring: Scoring, limit: Int?) throws -> [Passage] {
        var passages: [Passage] = []
        var lines = try lines()
        while passages.count < limit ?? .max, let value = try next(&lines) {
            let entry = Line(file: path, number: lines.line, value: value)
            passages.append(try scoring == .cloze ? entry.cloze() : entry.choice())
        }
        guard !passages.isEmpty else { throw EvaluationError.noQuestions(file: path) }
        return passages
    }

    private func lines() throws -> JSONLines {
        do { return try JSONLines(path: path) } catch DataError.unreadable {
            throw EvaluationError.unreadable(
                file: path, expected: "a file of JSON lines, as docs/evaluation.md describes")
        }
    }

    private func next(_ lines: inout JSONLines) throws -> JSONValue? {
        do { return try lines.next() } catch DataError.json(_, let line, let offset, let problem) {
            throw EvaluationError.question(
                file: path, line: line, expected: "JSON", found: "at byte \(offset): \(problem)")
        }
    }

    private struct Line {
        let file: String
        let number: Int
        let value: JSONValue

        func cloze() throws -> Passage {
            Passage(
                context: try text("context"), queries: [.init(choices: [" " + (try text("continuation"))], gold: 0)])
        }

        func choice() throws -> Passage {
            let choices = value["choices"]?.arrayValue?.compactMap(\.stringValue).filter { !$0.isEmpty } ?? []
            guard choices.count > 1, choices.count == value["choices"]?.arrayValue?.count else {
                throw error("\"choices\" to be an array of at least 2 strings, none empty", found: "choices")
            }
            guard let gold = value["gold"]?.integerValue, choices.indices.contains(gold) else {
                throw error("\"gold\" to be an index from 0 to \(choices.count - 1)", found: "gold")
            }
            return Passage(context: try text("context"), queries: [.init(choices: choices, gold: gold)])
        }

        private func text(_ key: String) throws -> String {
            guard let text = value[key]?.stringValue, text.contains(where: { !$0.isWhitespace }) else {
                throw error("\"\(key)\" to be a text that is not empty", found: key)
            }
            return text
        }

        private func error(_ expected: String, found key: String) -> EvaluationError {
            let found = value.objectValue == nil ? value.summary : value[key]?.summary ?? "no such key"
            return .question(file: file, line: number, expected: expected, found: found)
        }
    }
}
