import Support

extension DecoderConfiguration {
    /// Decodes a Hugging Face config.json, with the defaults that its family has in transformers.
    ///
    /// - Parameters:
    ///   - file: The name to give in errors.
    ///   - families: those whose `model_type`s are understood.
    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)`` or
    ///   ``CheckpointError/unsupported(file:what:found:supported:)``.
    public init(json: JSONValue, file: String, families: [any Family.Type] = Families.all) throws {
        guard let object = json.objectValue else {
            throw CheckpointError.malformed(
                file: file, part: "the configuration", expected: "a JSON object", found: json.summary)
        }
        let reader = ConfigurationReader(object: object, file: file)
        self = try Families.family(of: reader.string("model_type"), in: file, among: families).decoder(reader)
    }
}
