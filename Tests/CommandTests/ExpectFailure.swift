import Testing

/// Expects a failure whose message is one line with all of `parts`.
func expectFailure(_ result: MoultProcess, _ parts: String..., location: SourceLocation = #_sourceLocation) {
    #expect(result.status != 0, sourceLocation: location)
    // Above 128 it would be a signal: a trap.
    #expect(result.status < 128, sourceLocation: location)
    #expect(result.output == "", sourceLocation: location)
    // The error is one line; a command line that cannot be parsed is followed by the option's help and the usage.
    let lines = result.error.split(separator: "\n").filter {
        !$0.hasPrefix("Usage:") && !$0.hasPrefix("  See '") && !$0.hasPrefix("Help:")
    }
    #expect(
        lines.count == 1 && lines.first?.hasPrefix("Error: ") == true, "\(result.error)", sourceLocation: location)
    for part in parts { #expect(result.error.contains(part), "\(result.error)", sourceLocation: location) }
}
