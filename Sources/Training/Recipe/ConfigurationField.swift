import Yams

/// One key of a configuration file: how it is read into a value and written from it. A list of these is the single
/// statement of what a configuration has, so that every default can be written back and an unknown key refused.
struct ConfigurationField<Root> {
    let key: String
    /// - Throws: ``Unfit``.
    let read: (Node, inout Root) throws -> Void
    let write: (Root) throws -> Node

    /// A value that does not fit its key.
    struct Unfit: Error {
        let expected: String
    }

    private init(
        _ key: String, read: @escaping (Node, inout Root) throws -> Void, write: @escaping (Root) throws -> Node
    ) {
        (self.key, self.read, self.write) = (key, read, write)
    }

    static func number<Value: BinaryFloatingPoint & LosslessStringConvertible>(
        _ key: String, _ path: WritableKeyPath<Root, Value>, in range: ClosedRange<Value>
    ) -> Self {
        Self(key) { node, root in
            guard let value = Value(node.scalar?.string ?? ""), range.contains(value) else {
                throw Unfit(expected: "a number from \(range.lowerBound) to \(range.upperBound)")
            }
            root[keyPath: path] = value
        } write: {
            Node("\($0[keyPath: path])")
        }
    }

    /// A whole number, which may be written as 4.9M or 64k.
    static func count(_ key: String, _ path: WritableKeyPath<Root, Int>, in range: ClosedRange<Int>) -> Self {
        Self(key) { node, root in
            guard let value = Quantity.count(node.scalar?.string ?? ""), range.contains(value) else {
                throw Unfit(expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            root[keyPath: path] = value
        } write: {
            Node("\($0[keyPath: path])")
        }
    }

    static func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _ path: WritableKeyPath<Root, Choice>
    ) -> Self where Choice.RawValue == String {
        Self(key) { node, root in
            guard let value = Choice(rawValue: node.scalar?.string ?? "") else {
                throw Unfit(expected: Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: " or "))
            }
            root[keyPath: path] = value
        } write: {
            Node($0[keyPath: path].rawValue)
        }
    }

    static func text(_ key: String, _ path: WritableKeyPath<Root, String>) -> Self {
        Self(key) { node, root in
            guard let text = node.scalar?.string else { throw Unfit(expected: "a text") }
            root[keyPath: path] = text
        } write: {
            quoted($0[keyPath: path])
        }
    }

    /// A value that may be absent: null.
    static func optional(_ key: String, _ path: WritableKeyPath<Root, String?>) -> Self {
        Self(key) { node, root in
            guard let scalar = node.scalar else { throw Unfit(expected: "a text, or null") }
            root[keyPath: path] = node.null == nil ? scalar.string : nil
        } write: {
            $0[keyPath: path].map(quoted) ?? Node("null")
        }
    }

    static func optional(_ key: String, _ path: WritableKeyPath<Root, Double?>, in range: ClosedRange<Double>) -> Self {
        Self(key) { node, root in
            let value = Double(node.scalar?.string ?? "")
            guard node.null != nil || value.map(range.contains) == true else {
                throw Unfit(expected: "a number from \(range.lowerBound) to \(range.upperBound), or null")
            }
            root[keyPath: path] = value
        } write: {
            Node($0[keyPath: path].map { "\($0)" } ?? "null")
        }
    }

    static func optional(_ key: String, _ path: WritableKeyPath<Root, Int?>, in range: ClosedRange<Int>) -> Self {
        Self(key) { node, root in
            let value = Quantity.count(node.scalar?.string ?? "")
            guard node.null != nil || value.map(range.contains) == true else {
                throw Unfit(expected: "a whole number from \(range.lowerBound) to \(range.upperBound), or null")
            }
            root[keyPath: path] = value
        } write: {
            Node($0[keyPath: path].map { "\($0)" } ?? "null")
        }
    }

    static func list(_ key: String, _ path: WritableKeyPath<Root, [String]>) -> Self {
        Self(key) { node, root in
            let single = node.null == nil ? [node.scalar?.string] : []
            let entries = node.sequence.map { $0.map { $0.scalar?.string } } ?? single
            let texts = entries.compactMap { $0 }
            guard texts.count == entries.count else { throw Unfit(expected: "a list of texts") }
            root[keyPath: path] = texts
        } write: { root in
            Node(root[keyPath: path].map { quoted($0) }, .implicit, root[keyPath: path].isEmpty ? .flow : .block)
        }
    }

    /// A text that YAML does not take for a number or null.
    private static func quoted(_ text: String) -> Node {
        let isPlain = Double(text) == nil && Node(text, .implicit, .plain).null == nil
        return Node(text, Tag(.str), isPlain ? .any : .doubleQuoted)
    }
}

extension Array {
    /// Reads the keys of `node` into `root`. `elsewhere` are keys that somebody else reads.
    func read<Root>(_ node: Node, into root: inout Root, path: String, elsewhere: Set<String> = []) throws
    where Element == ConfigurationField<Root> {
        guard let mapping = node.mapping else {
            throw TrainingError.configuration(
                path: path, line: node.mark?.line, reason: "expected keys with values")
        }
        for (key, value) in mapping {
            let (name, line) = (key.scalar?.string ?? "", key.mark?.line)
            if elsewhere.contains(name) { continue }
            guard let field = first(where: { $0.key == name }) else {
                let known = (map(\.key) + elsewhere.sorted()).joined(separator: ", ")
                throw TrainingError.configuration(
                    path: path, line: line, reason: "'\(name)' is not known; expected one of \(known)")
            }
            do { try field.read(value, &root) } catch let unfit as Element.Unfit {
                throw TrainingError.configuration(
                    path: path, line: line,
                    reason: "\(name): expected \(unfit.expected), found '\(value.scalar?.string ?? "something else")'")
            }
        }
    }

    /// All keys with their values.
    func write<Root>(_ root: Root) throws -> [(Node, Node)] where Element == ConfigurationField<Root> {
        try map { (Node($0.key), try $0.write(root)) }
    }
}
