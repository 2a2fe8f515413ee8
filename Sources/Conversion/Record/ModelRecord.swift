import Foundation
import Support

/// What was done to make a model, from its source on: moult.json of every folder that Moult writes. Each command adds a step
/// to what its input has, and the model card is written from the whole.
public struct ModelRecord: Codable, Sendable, Equatable {
    /// The record's file in a model's folder.
    public static let fileName = "moult.json"
    private static let currentVersion = 1

    private var version = currentVersion
    /// The model that it all began with.
    public var source: ModelSource
    /// What was done, in order.
    public var steps: [Step] = []
    /// The hash of the card that was written with this, by which a card that somebody has edited is known.
    var card: String?

    /// What a command did to a model.
    public enum Step: Sendable, Equatable {
        case conversion(Conversion)
        case training(Training)
        case quantisation(Quantisation)
    }

    /// The record of a model from `source`, to which `steps` were done.
    public init(source: ModelSource, steps: [Step] = []) { (self.source, self.steps) = (source, steps) }

    /// The latest conversion.
    public var conversion: Conversion? {
        for case .conversion(let conversion) in steps.reversed() { return conversion }
        return nil
    }

    // MARK: File

    /// Reads moult.json of the folder at `path`; nil when there is none.
    /// - Throws: ``ConversionError/file(path:reason:)``.
    public init?(folder path: String) throws {
        let file = "\(path)/\(Self.fileName)"
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            self = try decoder.decode(Self.self, from: RegularFile.contents(file, limit: 16 << 20))
        } catch let fault as RegularFile.Fault {
            if fault.code == ENOENT { return nil }
            throw ConversionError.file(path: file, reason: "cannot be read: \(fault)")
        } catch {
            throw ConversionError.file(path: file, reason: Self.unreadable)
        }
        guard version == Self.currentVersion else { throw ConversionError.file(path: file, reason: Self.unreadable) }
    }

    private static let unreadable =
        "not a record of this version of Moult; move it away to go on without the model's history"

    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}

extension ModelRecord.Step: Codable {
    private enum CodingKeys: String, CodingKey { case conversion, training, quantisation }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let step = try container.decodeIfPresent(ModelRecord.Conversion.self, forKey: .conversion) {
            self = .conversion(step)
        } else if let step = try container.decodeIfPresent(ModelRecord.Training.self, forKey: .training) {
            self = .training(step)
        } else {
            self = .quantisation(try container.decode(ModelRecord.Quantisation.self, forKey: .quantisation))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .conversion(let step): try container.encode(step, forKey: .conversion)
        case .training(let step): try container.encode(step, forKey: .training)
        case .quantisation(let step): try container.encode(step, forKey: .quantisation)
        }
    }
}
