import Foundation
import Records
import Text

extension Target {
    static let dataTargets =
        ["jsonl", "jsonl.zst", "txt", "parquet"].map { ending in
            Target(name: ending.replacingOccurrences(of: ".", with: "-")) { bytes in
                try withFile(bytes, ending: ending) { path in
                    var options = DataOptions()
                    options.onError = .skip
                    var stream = DocumentStream([try DataFile(path: path)], options: options)
                    while try stream.next() != nil {}
                }
            }
        } + [
            Target(name: "snappy") { bytes in
                guard bytes.count > 2 else { return }
                _ = Snappy.decompress(bytes[2...], size: Int(bytes[0]) << 8 | Int(bytes[1]))
            },
            Target(name: "metrics") { bytes in
                _ = try withFile(bytes, ending: "jsonl") { try MetricsLog.events(path: $0) }
            },
        ]
}
