/// How far a reader of JSON goes along with what is not strict (RFC 8259).
package struct JSONDialect: Sendable {
    /// The most levels of nesting.
    package let maximumDepth: Int
    /// The most values in a text.
    package let maximumValues: Int
    /// Whether a key may appear twice in an object; the last counts.
    let repeatsKeys: Bool
    /// Whether NaN and Infinity, numbers beyond all bounds and halves of surrogate pairs are read, as Python's json does.
    let isPython: Bool

    /// For what no stranger may lie in, such as the header of weights: a key that appears twice is refused. The limits are far
    /// above what the largest index needs.
    package static let strict = JSONDialect(
        maximumDepth: 64, maximumValues: 1 << 22, repeatsKeys: false, isPython: false)
    /// For what other programs have written and read, such as tokenizer.json, the largest of which has a quarter of the values.
    package static let foreign = JSONDialect(
        maximumDepth: 128, maximumValues: 1 << 23, repeatsKeys: true, isPython: false)
    /// For lines of data.
    package static let python = JSONDialect(
        maximumDepth: 512, maximumValues: 1 << 22, repeatsKeys: true, isPython: true)
}
