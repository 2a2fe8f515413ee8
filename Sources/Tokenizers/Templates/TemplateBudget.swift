import Support

/// What rendering a template may cost: work and memory, counted together in bytes.
///
/// Everything that is made is charged by its size and never given back, so that the sum also bounds the memory; everything
/// that is looked at is charged by what looking costs. A conversation of 1 MB costs a real template less than a tenth of the limit.
final class TemplateBudget {
    /// The most that rendering may cost.
    static let limit = 1 << 30
    /// The most bytes of a text: of the output, and of every string on the way.
    static let maximumLength = 8_000_000
    /// What evaluating an expression or running a statement costs.
    static let step = 512
    /// What a place in a list or an object costs.
    static let cell = MemoryLayout<TemplateValue>.stride
    /// What reading a byte costs where text is gone through character by character.
    static let reading = 16

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
        for value in values { if let text = value.text { try read(text, line) } }
    }

    /// Counts a new value, texts and lists by their length, and checks that a text is not too long.
    func made(_ value: TemplateValue, _ line: Int) throws {
        switch value {
        case .string(let text), .markup(let text):
            try checkLength(text.utf8.count, line)
            try charge(Self.step + text.utf8.count, line)
        case .sequence(let sequence): try charge(Self.step + Self.cell * sequence.elements.count, line)
        case .dictionary(let dictionary): try charge(Self.step + 2 * Self.cell * dictionary.entries.count, line)
        case .iterator: try charge(Self.step, line)
        default: break
        }
    }

    func checkLength(_ count: Int, _ line: Int) throws {
        guard count <= Self.maximumLength else {
            throw TokenizerError.template(
                line: line, reason: "a text that is too long; at most \(Self.maximumLength) bytes are")
        }
    }

    /// Counts a value with all that is in it, and checks that it is not nested too deeply for what goes through it.
    ///
    /// - Parameters:
    ///   - texts: Whether texts in it are gone through too.
    ///   - indent: The spaces that a level is written with.
    /// - Returns: The least number of bytes of the value when it is written.
    @discardableResult
    func visit(_ value: TemplateValue, texts: Bool, indent: Int = 0, depth: Int = 0, _ line: Int) throws -> Int {
        guard depth < JSONDialect.foreign.maximumDepth else {
            throw TokenizerError.template(line: line, reason: "a value that is nested too deeply")
        }
        var length = 1 + indent * depth
        try charge((texts ? 256 : 64) + length, line)
        func add(_ text: String) throws {
            guard texts else { return }
            try read(text, line)
            length += text.utf8.count
        }
        func add(_ value: TemplateValue) throws {
            length += try visit(value, texts: texts, indent: indent, depth: depth + 1, line)
        }
        switch value {
        case .sequence(let sequence): for element in sequence.elements { try add(element) }
        case .dictionary(let dictionary):
            for entry in dictionary.entries {
                try add(entry.key)
                try add(entry.value)
            }
        case .string(let text), .markup(let text): try add(text)
        default: break
        }
        return length
    }
}
