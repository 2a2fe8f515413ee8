import Foundation
import Support

/// The file with what was typed in conversations: a message a line, in which `\n` stands for a line break and `\\` for a
/// backslash. It is for this user's eyes only. That it cannot be read or written is no error.
struct ChatHistory {
    /// Where it is.
    let path: String
    /// The most messages that are kept.
    static let limit = 1000
    /// Bytes; a longer message is not kept.
    private static let messageLimit = 16_384

    /// The file in `XDG_STATE_HOME`, else in ~/.local/state; nil when neither is known.
    init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
        // A path that is not whole is passed over, as the specification says.
        func folder(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
        guard let state = folder("XDG_STATE_HOME") ?? folder("HOME").map({ "\($0)/.local/state" }) else { return nil }
        path = "\(state)/moult/chat_history"
    }

    /// The last messages, the oldest first. A file that has grown beyond twice the limit is cut.
    func messages() -> [String] {
        guard let data = try? RegularFile.contents(path, limit: 2 * Self.limit * Self.messageLimit) else { return [] }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        let kept = lines.suffix(Self.limit)
        if lines.count > 2 * Self.limit {
            let text = kept.map { $0 + "\n" }.joined()
            let mask = umask(0o077)
            defer { umask(mask) }
            try? StagedFile.write(Array(text.utf8), to: path, replacing: .file(beginning: []), isDurable: false)
        }
        return kept.map { Self.plain($0) }
    }

    /// Adds a message.
    func add(_ message: String) {
        let line = Self.escaped(message) + "\n"
        guard line.utf8.count <= Self.messageLimit else { return }
        let folder = (path as NSString).deletingLastPathComponent
        try? FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let descriptor = open(path, flags, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard (try? RegularFile.size(of: descriptor)) != nil else { return }
        // In one piece, also when two conversations write.
        _ = Array(line.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Removes the file.
    func remove() { unlink(path) }

    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\n", with: "\\n")
    }

    static func plain(_ line: some StringProtocol) -> String {
        var (text, isEscaped) = (String.UnicodeScalarView(), false)
        for scalar in line.unicodeScalars {
            if isEscaped {
                text.append(scalar == "n" ? "\n" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else {
                text.append(scalar)
            }
        }
        return String(text)
    }
}
