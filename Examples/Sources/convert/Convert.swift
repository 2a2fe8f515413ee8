import Checkpoints
import Conversion

/// Makes a recurrent model from a Transformer: convert SOURCE OUTPUT
@main
struct Convert {
    static func main() throws {
        guard CommandLine.arguments.count == 3 else { return print("convert SOURCE OUTPUT") }
        // Headers and configuration only; weights are mapped.
        let source = try ModelFiles.open(CommandLine.arguments[1])
        var options = ConversionOptions()
        options.slots = 16
        options.window = 112
        let report = try Converter(source, options: options).run(output: CommandLine.arguments[2])
        print(report.summary)
    }
}
