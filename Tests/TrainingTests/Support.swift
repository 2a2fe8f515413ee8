import Foundation
import Models
import Tokenizers
import Training

/// What Tools/fixtures/data.py made, and tokenizers of the tokenizer tests.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    struct Documents: Decodable {
        /// The texts of the required columns, and of the optional ones, where nil is null.
        let texts: [String]
        let holes: [String?]
    }

    static func path(_ name: String) -> String { folder.appendingPathComponent("Fixtures/\(name)").path }

    static func bytes(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func documents() throws -> Documents {
        try JSONDecoder().decode(Documents.self, from: Data(bytes("documents.json")))
    }

    /// A byte-level tokenizer of 2003 tokens that begins texts with a token, and ends them with another.
    static func tokenizer() throws -> Tokenizer { try Tokenizer(files: tokenizerFiles()) }

    static func tokenizerFiles() throws -> TokenizerFiles {
        try TokenizerFiles(
            directory: folder.deletingLastPathComponent().appendingPathComponent("TokenizersTests/Fixtures/llama3"))
    }
}

/// A folder that is removed with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    /// - Parameter inMemory: whether to make it in memory where the system has a place for that, for many small files.
    init(inMemory: Bool = false) throws {
        let memory = "/dev/shm/"
        let parent = inMemory && access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
        path = parent + "moult-data-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, in a subfolder if its name says so, and returns its path.
    @discardableResult
    func write(_ name: String, _ bytes: some Collection<UInt8>) throws -> String {
        let file = URL(fileURLWithPath: "\(path)/\(name)")
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
        return file.path
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }

    /// Everything in the folder and its subfolders, hidden files too.
    var contents: [String] {
        (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
    }
}

/// What a stream of documents gave: texts, pieces put together again.
struct ReadDocuments {
    var texts: [String] = []
    var pieces: [DocumentPiece] = []
    var statistics = DataStatistics()

    init(_ paths: [String], _ options: DataOptions = DataOptions()) throws {
        var stream = DocumentStream(try paths.map { try DataFile(path: $0) }, options: options)
        var open: [UInt8] = []
        while let piece = try stream.next() {
            pieces.append(piece)
            open += piece.text
            guard piece.endsDocument else { continue }
            texts.append(String(decoding: open, as: UTF8.self))
            open = []
        }
        statistics = stream.statistics
    }
}

extension DataOptions {
    /// Options with some values changed.
    static func with(_ change: (inout DataOptions) -> Void) -> DataOptions {
        var options = DataOptions()
        change(&options)
        return options
    }
}

/// Text of seeded words, `count` documents.
func seededDocuments(_ count: Int, seed: UInt64) -> [String] {
    var generator = SplitMix64(seed: seed)
    let words = ["the", "fox", "jumps", "über", "日本", "over", "42", "lazy", "dog,", "and\n", "then.", "🦊"]
    return (0..<count).map { number in
        let length = Int.random(in: 1...120, using: &generator)
        return "\(number): "
            + (0..<length).map { _ in words.randomElement(using: &generator) ?? "" }.joined(separator: " ")
    }
}
