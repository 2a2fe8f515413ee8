/// What rendering a template may cost: work and memory, counted together in bytes.
///
/// Everything that is made is charged by its size and never given back, so that the sum also bounds the memory; everything
/// that is looked at is charged by what looking costs. A conversation of 1 MB costs a real template 10 to 50 MB.
final class TemplateBudget {
    /// The most that rendering may cost.
    static let limit = 1 << 30
    /// The most bytes of a text: of the output, and of every string on the way.
    static let maximumLength = 8_000_000
    /// What evaluating an expression or running a statement costs.
    static let step = 512
    /// What a place in a list or an object costs.
    static let cell = MemoryLayout<JSONValue>.stride
    /// What reading a byte costs where text is gone through character by character.
    static let reading = 8

    private var spent = 0

    /// Counts `bytes` against the limit.
    /// - Throws: ``TokenizerError/template(line:reason:)``.
    func charge(_ bytes: Int, _ line: Int) throws {
        spent += min(bytes, Self.limit)
        guard spent <= Self.limit else {
            throw TokenizerError.template(
                line: line, reason: "the template does too much work; at most \(Self.limit >> 20) MB are handled")
        }
    }

    /// Counts a text that is gone through character by character.
    func read(_ text: String, _ line: Int) throws { try charge(Self.reading * text.utf8.count, line) }

    /// Counts the texts among the operands of an operation.
    func read(_ values: [TemplateValue], _ line: Int) throws {
        for case .json(.string(let text)) in values { try read(text, line) }
    }

    /// Counts a new value, texts and lists by their length, and checks that a text is not too long.
    func made(_ value: JSONValue, _ line: Int) throws {
        switch value {
        case .string(let text):
            try checkLength(text.utf8.count, line)
            try charge(Self.step + text.utf8.count, line)
        case .array(let elements): try charge(Self.step + Self.cell * elements.count, line)
        default: break
        }
    }

    func checkLength(_ count: Int, _ line: Int) throws {
        guard count <= Self.maximumLength else {
            throw TokenizerError.template(
                line: line, reason: "a text that is too long; at most \(Self.maximumLength) bytes are")
        }
    }

    /// Counts a look-up in an object, which compares its keys one after another.
    func lookUp(_ key: String, in object: JSONObject, _ line: Int) throws {
        try charge(object.entries.count * (16 + key.utf8.count / 8), line)
    }

    /// Counts a value with all that is in it, and checks that it is not nested too deeply for what goes through it.
    ///
    /// - Parameters:
    ///   - texts: Whether texts in it are gone through too.
    ///   - indent: The spaces that a level is written with.
    /// - Returns: The least number of bytes of the value when it is written.
    @discardableResult
    func visit(_ value: JSONValue, texts: Bool, indent: Int = 0, depth: Int = 0, _ line: Int) throws -> Int {
        guard depth < JSONParser.maximumDepth else {
            throw TokenizerError.template(line: line, reason: "a value that is nested too deeply")
        }
        var length = 1 + indent * depth
        try charge(64 + length, line)
        func add(_ text: String) throws {
            guard texts else { return }
            try read(text, line)
            length += text.utf8.count
        }
        func add(_ value: JSONValue) throws {
            length += try visit(value, texts: texts, indent: indent, depth: depth + 1, line)
        }
        switch value {
        case .array(let elements): for element in elements { try add(element) }
        case .object(let object):
            for entry in object.entries {
                try add(entry.key)
                try add(entry.value)
            }
        case .string(let text): try add(text)
        default: break
        }
        return length
    }
}
