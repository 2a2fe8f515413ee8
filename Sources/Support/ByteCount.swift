import Foundation

/// Numbers of bytes as people write them, in powers of a thousand.
package enum ByteCount {
    private static let units = ["bytes", "kB", "MB", "GB", "TB", "PB"]

    /// "980 bytes", "12.3 kB", "269.1 MB".
    package static func text(_ bytes: Int) -> String {
        let (value, unit) = scaled(Double(bytes))
        return unit == units[0] ? "\(bytes) \(bytes == 1 ? "byte" : unit)" : String(format: "%.1f ", value) + unit
    }

    /// The number in the greatest unit of which there is at least one.
    package static func scaled(_ bytes: Double) -> (value: Double, unit: String) {
        var (value, unit) = (bytes, 0)
        while value >= 999.5, unit + 1 < units.count { (value, unit) = (value / 1000, unit + 1) }
        return (value, units[unit])
    }
}
