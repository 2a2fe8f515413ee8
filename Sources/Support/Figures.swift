import Foundation

/// Numbers as the report writes them.
package enum Figures {
    /// With k, M, B or T for powers of a thousand from ten thousand on: "512", "19.8", "12.4k", "1.2M", "3e-5".
    package static func short(_ value: Double, digits: Int = 3) -> String {
        guard value.isFinite else { return "not finite" }
        // Thousands without a suffix need four digits.
        let kept = (999.5..<10_000).contains(value.magnitude) ? max(4, digits) : digits
        // Rounded first: 999,999 is 1M, not 1000k.
        let rounded = Double(String(format: "%.*e", kept - 1, value)) ?? value
        let magnitude = rounded.magnitude
        guard magnitude >= 10_000 else {
            // Below, an exponent is easier to read than zeros.
            let format = magnitude > 0 && magnitude < 1e-4 ? "%.*e" : "%.*g"
            return tidied(String(format: format, kept, rounded))
        }
        let scales: [(Double, String)] = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")]
        let (scale, suffix) = scales.first { magnitude >= $0.0 } ?? (1, "")
        return tidied(String(format: "%.*g", max(3, kept), rounded / scale)) + suffix
    }

    /// "1.200e-05" → "1.2e-5".
    private static func tidied(_ text: String) -> String {
        guard let exponent = text.firstIndex(of: "e") else { return text }
        var digits = String(text[..<exponent])
        if digits.contains(".") {
            while digits.hasSuffix("0") { digits.removeLast() }
            if digits.hasSuffix(".") { digits.removeLast() }
        }
        return "\(digits)e\(Int(text[exponent...].dropFirst()) ?? 0)"
    }

    /// "980 B", "3.6 MB", "4.61 GB"; powers of a thousand.
    package static func bytes(_ value: Double, digits: Int = 3) -> String {
        let (scaled, unit) = ByteCount.scaled(value)
        return "\(String(format: "%.*g", digits, scaled)) \(unit == "bytes" ? "B" : unit)"
    }

    /// "7,056", "132.7", "22.36".
    package static func perplexity(_ value: Double) -> String {
        guard value.isFinite else { return "not finite" }
        guard value < 1000 else { return value < 1e9 ? grouped(Int(value.rounded())) : short(value) }
        return String(format: value < 100 ? "%.2f" : "%.1f", value)
    }

    /// 1234567 → "1,234,567".
    package static func grouped(_ value: Int) -> String {
        let digits = String(value.magnitude)
        var result = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return result
    }

    /// "41 s", "12 min 5 s", "2 h 13 min", "3 d 4 h".
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e12 else { return "not finite" }
        let whole = Int(max(0, seconds).rounded())
        let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
        if days > 0 { return "\(days) d \(hours) h" }
        if hours > 0 { return "\(hours) h \(minutes) min" }
        return minutes > 0 ? "\(minutes) min \(whole % 60) s" : "\(whole) s"
    }
}
