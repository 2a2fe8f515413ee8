import Foundation
import Support

/// A place in a document: there is one for each, however it was reached.
final class SchemaPlace {
    private unowned let parent: SchemaPlace?
    private let step: String
    /// By the bytes of their steps, which alone tell keys of JSON apart.
    private var children: [[UInt8]: SchemaPlace] = [:]

    init(parent: SchemaPlace? = nil, step: String) { (self.parent, self.step) = (parent, step) }

    func below(_ step: String) -> SchemaPlace {
        let key = Array(step.utf8)
        if let child = children[key] { return child }
        let child = SchemaPlace(parent: self, step: step)
        children[key] = child
        return child
    }

    /// Its JSON pointer behind `#`, as it may be shown.
    var pointer: String {
        var (steps, place) = ([String](), Optional(self))
        while let here = place {
            let isRoot = here.parent == nil
            steps.append(
                isRoot
                    ? here.step
                    : here.step.replacingOccurrences(of: "~", with: "~0").replacingOccurrences(of: "/", with: "~1"))
            place = here.parent
        }
        return ForeignText.line(steps.reversed().joined(separator: "/"), limit: 200)
    }
}

/// A schema at its place, or what is left to say of it.
struct SchemaPart {
    /// An object or a boolean.
    let schema: JSONValue
    let place: SchemaPlace
    /// Keywords that were taken care of.
    var done: Set<String> = []

    subscript(keyword: String) -> JSONValue? { done.contains(keyword) ? nil : schema[keyword] }

    /// What tells it from others.
    struct Key: Hashable {
        var place: ObjectIdentifier
        var done: Set<String>
    }

    var key: Key { Key(place: ObjectIdentifier(place), done: done) }

    /// The schema under `keyword`, at a further step below it.
    func below(_ schema: JSONValue, _ keyword: String, _ further: String? = nil) -> SchemaPart {
        let next = place.below(keyword)
        return SchemaPart(schema: schema, place: further.map(next.below) ?? next)
    }

    /// Whether nothing is left that restricts values.
    var isSpent: Bool {
        guard let object = schema.objectValue else { return schema == true }
        return object.pairs.allSatisfy { done.contains($0.key) || SchemaKeywords.annotations.contains($0.key) }
    }

    func malformed(_ keyword: String, _ expected: String, _ found: JSONValue) -> ConstraintError {
        .malformed(
            pointer: place.below(keyword).pointer, expected: expected,
            found: ForeignText.line(found.summary, limit: 80))
    }

    func unsupported(_ keyword: String, _ reason: String = "is not supported") -> ConstraintError {
        .unsupported(
            pointer: place.below(keyword).pointer, reason: "\(ForeignText.line(keyword, limit: 60)) \(reason)")
    }

    /// - Throws: ``ConstraintError`` that names a keyword which is not supported.
    func check() throws {
        guard let object = schema.objectValue else {
            guard schema.boolValue != nil else {
                throw ConstraintError.malformed(
                    pointer: place.pointer, expected: "a schema: an object, true or false",
                    found: ForeignText.line(schema.summary, limit: 80))
            }
            return
        }
        for (keyword, value) in object.pairs {
            let isKnown =
                SchemaKeywords.general.contains(keyword) || SchemaKeywords.annotations.contains(keyword)
                || SchemaKeywords.kinds[keyword] != nil
            guard isKnown else { throw unsupported(keyword) }
            if keyword == "uniqueItems", value != false { throw unsupported(keyword) }
        }
    }
}
