/// What Moult converts models to: Llama's keys and tensors, and a "decoder" object for what the source has beyond Llama.
public enum Moult: Family {
    public static let modelTypes = ["moult"]
    public static let isTransformer = false

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        // The rotary keys are those of the dimensions that turn.
        let beyond = try file.nested("moult")?.nested("decoder")
        var object = file.object
        object["hidden_act"] = nil
        let reader = ConfigurationReader(object: object, file: file.file, prefix: file.prefix)
        let rotaryDim = try beyond?.value("rotary_dim").map { _ in
            try beyond?.evenInteger("rotary_dim", in: 2...1 << 14) ?? 0
        }
        var decoder = try reader.decoder(rotaryDim: rotaryDim)
        decoder.json = file.object
        try file.requireEvenHeads(decoder)
        decoder.slidingWindow = try file.slidingWindow()
        if let beyond { try decoder.read(beyond) }
        return decoder
    }
}
