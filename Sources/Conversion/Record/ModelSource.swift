import Checkpoints
import Foundation
import Support

/// Where a model came from before Moult changed it, as far as its own files say.
public struct ModelSource: Codable, Sendable, Equatable {
    /// The name of its folder or file.
    public var name: String
    /// `model_type` of its config.json.
    public var modelType: String
    /// Its name on the Hugging Face Hub, such as "HuggingFaceTB/SmolLM2-135M"; nil when nothing says it.
    public var repository: String?
    /// Nil when nothing says it.
    public var license: License?

    /// A model's licence, as its files name it.
    public struct License: Codable, Sendable, Equatable {
        /// As the Hub has it, such as "apache-2.0".
        public var id: String
        /// Its full name, where the files give one.
        public var name: String?
        /// Where its text is, where the files say so.
        public var link: String?
        /// Where it was read.
        public var origin: String
    }

    /// What the files of a model say.
    public init(_ files: ModelFiles) {
        name = URL(fileURLWithPath: files.path).standardizedFileURL.lastPathComponent
        modelType = files.configuration.modelType
        if let metadata = files.gguf {
            repository = Self.repository(metadata)
            license = Self.license(metadata)
        } else {
            repository = Self.repository(path: files.path)
            license = Self.license(folder: files.path)
        }
    }

    // MARK: Folders

    /// The repository of which the Hub's cache has put the folder there: models--OWNER--NAME/snapshots/HASH.
    static func repository(path: String) -> String? {
        let prefix = "models--"
        let parts = URL(fileURLWithPath: path).standardizedFileURL.pathComponents
        guard let folder = parts.last(where: { $0.hasPrefix(prefix) }) else { return nil }
        return checked(String(folder.dropFirst(prefix.count)).replacing("--", with: "/"))
    }

    private static func license(folder: String) -> License? {
        let file = "README.md"
        guard let card = try? RegularFile.contents("\(folder)/\(file)", limit: ModelCard.limit) else { return nil }
        let front = FrontMatter(String(decoding: card, as: UTF8.self))
        guard let id = front["license"] else { return nil }
        return License(id: id, name: front["license_name"], link: front["license_link"], origin: file)
    }

    // MARK: GGUF

    private static func repository(_ metadata: GGUFMetadata) -> String? {
        let site = "https://huggingface.co/"
        for key in ["general.source.huggingface.repository", "general.source.repo_url", "general.repo_url"] {
            guard let text = try? metadata.string(key) else { continue }
            guard text.hasPrefix(site) || !text.contains(":") else { continue }
            if let name = checked(text.hasPrefix(site) ? String(text.dropFirst(site.count)) : text) { return name }
        }
        return nil
    }

    private static func license(_ metadata: GGUFMetadata) -> License? {
        func text(_ key: String) -> String? { (try? metadata.string(key)).flatMap { $0.isEmpty ? nil : $0 } }
        let key = "general.license"
        guard let id = text(key) else { return nil }
        return License(id: id, name: text("\(key).name"), link: text("\(key).link"), origin: key)
    }

    /// OWNER/NAME, or NAME alone, in the letters that the Hub allows; nil for anything else.
    static func checked(_ name: String) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isSound = parts.allSatisfy { part in
            (1...96).contains(part.count) && !part.hasPrefix(".")
                && part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                }
        }
        return (1...2).contains(parts.count) && isSound ? name : nil
    }
}
