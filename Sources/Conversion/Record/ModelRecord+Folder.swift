import Checkpoints
import Foundation
import Models
import Support

extension ModelRecord {
    /// The record that the model at hand has, or the beginning of one.
    /// - Throws: ``ConversionError/file(path:reason:)`` for a moult.json that cannot be read.
    public init(of files: ModelFiles) throws {
        let own = try files.kind == .folder ? ModelRecord(folder: files.path) : nil
        self = own ?? ModelRecord(source: ModelSource(files))
    }

    /// Writes moult.json and the model card into the folder `path`.
    /// - Parameters:
    ///   - output: the folder's final place, whose name is the model's.
    ///   - earlier: folders that this one comes from or replaces. A card there that Moult has not written, or that somebody
    ///     has edited since, is kept beside the new one.
    /// - Throws: ``ConversionError/file(path:reason:)``.
    public func write(
        to path: String, for output: String, _ configuration: ModelConfiguration, keepingCardsOf earlier: [String]
    ) throws {
        for folder in earlier { try Self.keepCards(of: folder, in: path) }
        let card = ModelCard(
            record: self, configuration: configuration,
            name: URL(fileURLWithPath: output).standardizedFileURL.lastPathComponent,
            others: Self.earlierCards(in: path))
        let text = Data(card.text.utf8)
        var record = self
        record.card = XXHash64.text(text)
        try Self.write(text, to: "\(path)/\(Self.cardName)")
        try Self.write(record.json(), to: "\(path)/\(Self.fileName)")
    }

    /// The files that ``write(to:for:_:keepingCardsOf:)`` sees to: the others of a model's folder are simply copied.
    public static func sees(to name: String) -> Bool { name == fileName || name == cardName || isEarlierCard(name) }

    // MARK: Cards

    private static let cardName = "README.md"

    private static func isEarlierCard(_ name: String) -> Bool {
        name != cardName && name.hasPrefix("README.") && name.hasSuffix(".md")
    }

    private static func earlierCards(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter(isEarlierCard).sorted()
    }

    private static func keepCards(of folder: String, in path: String) throws {
        for name in earlierCards(in: folder) {
            guard let card = try? RegularFile.contents("\(folder)/\(name)", limit: ModelCard.limit) else { continue }
            try keep(card, as: String(name.dropLast(3)), in: path)
        }
        guard let card = try? RegularFile.contents("\(folder)/\(cardName)", limit: ModelCard.limit) else { return }
        let record = try? ModelRecord(folder: folder)
        guard record?.card != XXHash64.text(card) else { return }
        try keep(card, as: record == nil ? "README.source" : "README.edited", in: path)
    }

    /// Writes a card under `name`, with a number behind it where another one has that name.
    private static func keep(_ card: Data, as name: String, in path: String) throws {
        for number in 1... {
            let file = "\(path)/\(name)\(number == 1 ? "" : "-\(number)").md"
            let present = try? RegularFile.contents(file, limit: ModelCard.limit)
            if present == card { return }
            if present == nil { return try write(card, to: file) }
        }
    }

    private static func write(_ data: Data, to path: String) throws {
        do { try data.write(to: URL(fileURLWithPath: path)) } catch {
            let below = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
            let isSystem = below.domain == NSPOSIXErrorDomain
            let reason = isSystem ? String(cString: strerror(Int32(below.code))) : below.localizedDescription
            throw ConversionError.file(path: path, reason: "cannot be written: \(reason)")
        }
    }
}
