import Foundation
import Support

/// Finds calls of functions in what a model writes, as it comes. What is no call after all is text.
public struct ToolCallParser: Sendable {
    /// A part of an answer.
    public enum Part: Sendable, Equatable {
        /// Text of the answer.
        case text(String)
        /// A call that is complete.
        case call(ChatToolCall)
    }

    private let format: ToolFormat
    /// What may be a call, or the beginning of what begins one.
    private var held = ""
    private var mode = Mode.undecided
    private var hasCalled = false

    private enum Mode {
        /// Only white space has come.
        case undecided
        case text
        /// Within a call, up to its end.
        case call
        /// All that follows is calls.
        case calls
    }

    /// A parser of an answer that has not begun.
    public init(_ format: ToolFormat) { self.format = format }

    /// Special tokens that calls are written with, which otherwise are no part of a text.
    public static let markers: Set<String> = [
        "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", "<tool_call>", "</tool_call>",
    ]

    /// All parts of a whole answer.
    public static func parts(of text: String, _ format: ToolFormat) -> [Part] {
        var parser = ToolCallParser(format)
        return parser.push(text) + parser.finish()
    }

    /// Takes more of the answer, and returns what is certain now.
    public mutating func push(_ text: String) -> [Part] {
        guard !text.isEmpty else { return [] }
        held += text
        switch format {
        case .hermes, .described: return pushMarked()
        case .llama, .mistral: return pushWhole()
        }
    }

    /// Returns what is left, when the answer has ended.
    public mutating func finish() -> [Part] {
        defer { held = "" }
        switch mode {
        case .call:
            // Many models leave the closing mark to the end of the text.
            return Self.calls(in: held) ?? [.text(ToolFormat.opening + held)]
        case .undecided where hasCalled && held.allSatisfy(\.isWhitespace): return []
        case .calls: return Self.calls(in: held, isMistral: format == .mistral) ?? [.text(held)]
        case .undecided, .text: return held.isEmpty ? [] : [.text(held)]
        }
    }

    // MARK: Calls between marks

    private mutating func pushMarked() -> [Part] {
        var parts: [Part] = []
        while true {
            if mode == .call {
                guard let end = held.range(of: ToolFormat.closing) else { return parts }
                let inner = String(held[..<end.lowerBound])
                parts +=
                    Self.calls(in: inner) ?? [.text(ToolFormat.opening + inner + ToolFormat.closing)]
                held = String(held[end.upperBound...])
                (mode, hasCalled) = (.undecided, true)
            }
            if let start = held.range(of: ToolFormat.opening) {
                // White space before a call is no part of the text.
                let before = held[..<start.lowerBound]
                let text = before.dropLast(before.reversed().prefix(while: \.isWhitespace).count)
                if !text.isEmpty { parts.append(.text(String(text))) }
                held = String(held[start.upperBound...])
                mode = .call
                continue
            }
            // What may become a mark, and white space, which has no place between calls, waits.
            let kept = Self.beginning(of: ToolFormat.opening, atEndOf: held)
            let free = held.dropLast(kept)
            let spaces = free.reversed().prefix(while: \.isWhitespace).count
            let certain = free.dropLast(spaces)
            if !certain.isEmpty {
                parts.append(.text(String(certain)))
                mode = .text
                held = String(held.dropFirst(certain.count))
            }
            return parts
        }
    }

    /// How many characters at the end of `text` may begin `mark`.
    private static func beginning(of mark: String, atEndOf text: String) -> Int {
        (0..<mark.count).reversed().first { text.hasSuffix(mark.prefix($0)) } ?? 0
    }

    // MARK: Answers that are calls alone

    private mutating func pushWhole() -> [Part] {
        if mode == .undecided {
            let text = held.drop(while: \.isWhitespace)
            let marks = format == .mistral ? ["[TOOL_CALLS]", "[{"] : ["<|python_tag|>", "{"]
            if marks.contains(where: { text.hasPrefix($0) }) {
                mode = .calls
            } else if !marks.contains(where: { $0.hasPrefix(text) }) {
                mode = .text
            }
        }
        guard mode == .text else { return [] }
        defer { held = "" }
        return [.text(held)]
    }

    // MARK: JSON

    /// The calls that `text` is; nil where it is something else.
    private static func calls(in text: String, isMistral: Bool = false) -> [Part]? {
        var (calls, rest) = ([Part](), Substring(text))
        for mark in ["[TOOL_CALLS]", "<|python_tag|>"] {
            rest = rest.drop(while: \.isWhitespace)
            if rest.hasPrefix(mark) { rest = rest.dropFirst(mark.count) }
        }
        while true {
            rest = rest.drop { $0.isWhitespace || $0 == ";" || $0 == "," }
            if isMistral, rest.hasPrefix("[TOOL_CALLS]") { rest = rest.dropFirst("[TOOL_CALLS]".count) }
            guard let first = rest.first else { break }
            if first == "[" {
                // A list of calls: its brackets say nothing.
                guard let end = JSONExtent.end(of: rest),
                    let inner = Self.calls(in: String(rest[..<end].dropFirst().dropLast()))
                else { return nil }
                calls += inner
                rest = rest[end...]
            } else if first == "{" {
                guard let end = JSONExtent.end(of: rest), let call = call(rest[..<end]) else { return nil }
                calls.append(.call(call))
                rest = rest[end...]
            } else {
                // name[ARGS]{…}, as newer models of Mistral's have it.
                guard isMistral, let brace = rest.firstIndex(of: "{"), let end = JSONExtent.end(of: rest[brace...])
                else {
                    return nil
                }
                let name = rest[..<brace].replacingOccurrences(of: "[ARGS]", with: "")
                    .trimmingCharacters(in: .whitespaces)
                guard !name.isEmpty, !name.contains(where: { $0.isWhitespace || $0 == "[" }),
                    value(rest[brace..<end])?.objectValue != nil
                else { return nil }
                calls.append(.call(ChatToolCall(name: name, arguments: String(rest[brace..<end]))))
                rest = rest[end...]
            }
        }
        return calls.isEmpty ? nil : calls
    }

    private static func value(_ text: Substring) -> JSONValue? {
        try? JSONValue(parsing: Array(text.utf8), .foreign)
    }

    private static func call(_ text: Substring) -> ChatToolCall? {
        guard let object = value(text)?.objectValue, let name = object["name"]?.stringValue, !name.isEmpty else {
            return nil
        }
        for key in ["arguments", "parameters"] {
            // As the model has written it: numbers stay as they are.
            if object[key]?.objectValue != nil {
                let written = JSONExtent.member(key, of: text)
                return ChatToolCall(name: name, arguments: written.map(String.init) ?? object[key]?.text() ?? "{}")
            }
            // Some write the arguments as a text of JSON.
            if let inner = object[key]?.stringValue, value(inner[...])?.objectValue != nil {
                return ChatToolCall(name: name, arguments: inner)
            }
        }
        return object.keys.allSatisfy({ ["name", "type", "id"].contains($0) })
            ? ChatToolCall(name: name, arguments: "{}") : nil
    }
}

/// Where values end in JSON text, by their brackets and quotes alone.
enum JSONExtent {
    /// The end of the object or array that `text` begins with; nil where it has none.
    static func end(of text: Substring) -> Substring.Index? {
        let bytes = text.utf8
        var (depth, isString, isEscaped) = (0, false, false)
        for index in bytes.indices {
            let byte = bytes[index]
            if isString {
                if isEscaped {
                    isEscaped = false
                } else if byte == 0x5C {
                    isEscaped = true
                } else if byte == 0x22 {
                    isString = false
                }
            } else if byte == 0x22 {
                isString = true
            } else if byte == 0x7B || byte == 0x5B {
                depth += 1
            } else if byte == 0x7D || byte == 0x5D {
                depth -= 1
                if depth == 0 { return bytes.index(after: index) }
            }
        }
        return nil
    }

    /// The object under `key` of the object that is `text`.
    static func member(_ key: String, of text: Substring) -> Substring? {
        let bytes = text.utf8
        var (depth, start, isEscaped) = (0, Substring.Index?.none, false)
        var name: Substring?
        for index in bytes.indices {
            let byte = bytes[index]
            if let begin = start {
                if isEscaped {
                    isEscaped = false
                } else if byte == 0x5C {
                    isEscaped = true
                } else if byte == 0x22 {
                    if depth == 1 { name = text[begin..<index] }
                    start = nil
                }
            } else if byte == 0x22 {
                start = bytes.index(after: index)
            } else if byte == 0x7B || byte == 0x5B {
                if depth == 1, byte == 0x7B, let name, name == key {
                    return end(of: text[index...]).map { text[index..<$0] }
                }
                depth += 1
            } else if byte == 0x7D || byte == 0x5D {
                depth -= 1
            } else if byte == 0x2C, depth == 1 {
                name = nil
            }
        }
        return nil
    }
}
