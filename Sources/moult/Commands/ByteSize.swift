import ArgumentParser

/// A number of bytes such as 500M or 1G, in powers of 1000.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    init(bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let units: [Character: Double] = ["k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12]
        guard let last = argument.last else { return nil }
        let unit = units[last]
        guard let number = Double(unit == nil ? argument : String(argument.dropLast())),
            let bytes = Int(exactly: (number * (unit ?? 1)).rounded()), bytes >= 0
        else { return nil }
        self.bytes = bytes
    }

    var defaultValueDescription: String {
        bytes % 1_000_000_000 == 0 ? "\(bytes / 1_000_000_000)G" : "\(bytes / 1_000_000)M"
    }
}
