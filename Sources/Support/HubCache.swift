import Foundation

/// The cache that Hugging Face's programs share. A repository is a folder `models--OWNER--NAME`, in which `refs/main` is a
/// text with the hash of the latest revision, and `snapshots/HASH` a folder of links into `blobs`.
package enum HubCache {
    /// The folders where repositories may be, in the order in which Hugging Face's programs choose one.
    package static func folders(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> [String] {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let home = value("HOME") ?? NSHomeDirectory()
        let caches = value("XDG_CACHE_HOME") ?? "\(home)/.cache"
        let places = [
            value("HF_HUB_CACHE"), value("HUGGINGFACE_HUB_CACHE"),
            "\(value("HF_HOME") ?? "\(caches)/huggingface")/hub",
        ]
        return places.compactMap { $0.map { $0.hasPrefix("~/") ? home + $0.dropFirst() : $0 } }
    }

    /// Whether there is a repository's folder at `path`.
    package static func isRepository(_ path: String) -> Bool { isFolder("\(path)/snapshots") }

    /// The folder with the files of the repository at `path`: the revision that `refs/main` names, or the only one. Nil when
    /// there is none, or several of which none is the main one.
    package static func snapshot(_ path: String) -> String? {
        let folder = "\(path)/snapshots"
        if let bytes = try? RegularFile.contents("\(path)/refs/main", limit: 1 << 10) {
            let hash = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            if !hash.isEmpty, !hash.contains("/"), hash != "..", hash != ".", isFolder("\(folder)/\(hash)") {
                return "\(folder)/\(hash)"
            }
        }
        let names = FolderContents.names(folder).filter { !$0.hasPrefix(".") && isFolder("\(folder)/\($0)") }
        return names.count == 1 ? "\(folder)/\(names[0])" : nil
    }

    /// Whether `text` is a repository's name, OWNER/NAME, in the letters that the Hub allows.
    package static func isName(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2
            && parts.allSatisfy { part in
                (1...96).contains(part.count) && !part.hasPrefix(".") && !part.hasPrefix("-")
                    && part.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"),
                            UInt8(ascii: "-"):
                            true
                        default: false
                        }
                    }
            }
    }

    /// The folder with the files of the model `name`, as far as one of `folders` has it.
    package static func model(_ name: String, in folders: [String] = folders()) -> String? {
        let folder = "models--" + name.replacing("/", with: "--")
        return folders.lazy.compactMap { snapshot("\($0)/\(folder)") }.first
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
