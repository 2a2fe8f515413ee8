import Foundation

/// A Unicode normalisation form.
enum UnicodeForm: String, Sendable {
    case composed = "NFC"
    case decomposed = "NFD"
    case compatibleComposed = "NFKC"
    case compatibleDecomposed = "NFKD"

    /// The characters that the form may change, or the ones before them because of them.
    private var changing: CharacterClass { self == .composed ? .composing : .decomposing }

    /// Brings text into this form, touching only the stretches that can change: from the character before one that may
    /// change to the next one that may not.
    func apply(to text: inout [UInt8]) {
        var result: [UInt8] = []
        let changed = text.withUnsafeBufferPointer { bytes -> Bool in
            let source = UTF8Text(bytes: bytes)
            var copied = 0
            var position = 0
            while position < bytes.count {
                if source[position] < 0x80 {
                    position += 1
                    continue
                }
                let (value, end) = source.characterClass(at: position)
                guard value.contains(changing) else {
                    position = end
                    continue
                }
                let start = position > copied ? source.start(before: position) : position
                let before = String(decoding: bytes[start..<position], as: UTF8.self)
                let first = position
                position = source.endOfRun(from: end, limit: bytes.count) { $0.contains(changing) }
                result.append(contentsOf: bytes[copied..<start])
                let changed = mapped(String(decoding: bytes[first..<position], as: UTF8.self), behind: before)
                result.append(contentsOf: changed.utf8)
                copied = position
            }
            guard copied > 0 else { return false }
            result.append(contentsOf: bytes[copied...])
            return true
        }
        if changed { text = result }
    }

    /// A stretch that can change, with the character before it, with which it may only be composed.
    private func mapped(_ text: String, behind before: String) -> String {
        // Two kinds of characters stay apart. A mark of a newer Unicode than the table's is a character like others to
        // `tokenizers` and is not reordered; and old Hangul consonants and characters above U+1FFFF, which Foundation
        // composes, compose with nothing.
        let isApart = before.unicodeScalars.last.map {
            $0.properties.canonicalCombiningClass != .notReordered || 0x1113...0x115F ~= $0.value || $0.value >= 0x20000
        }
        if isApart == true { return before + mapped(text, behind: "") }
        return switch self {
        case .decomposed: before + text.decomposedStringWithCanonicalMapping
        case .compatibleDecomposed: before + text.decomposedStringWithCompatibilityMapping
        // Decomposed first because composing alone leaves a Hangul syllable apart from a final consonant.
        case .composed:
            (before + text).decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping
        case .compatibleComposed:
            (before.decomposedStringWithCanonicalMapping + text.decomposedStringWithCompatibilityMapping)
                .precomposedStringWithCanonicalMapping
        }
    }
}
